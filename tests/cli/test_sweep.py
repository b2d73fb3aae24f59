"""`compare` and `sweep`: what is best among runs, and combinations that are trained once, whatever comes between."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.fake_run import make_run
from tui_vae.cli.parser import make_parser
from tui_vae.cli.sweep.plan import plan, run_name
from tui_vae.config import RunConfig, make_config
from tui_vae.errors import UsageError
from tui_vae.runs import events as ev
from tui_vae.runs.comparison import LOSS, Candidate, Figure, winners
from tui_vae.runs.device_load import cuda_devices
from tui_vae.runs.directory import list_runs

# -- compare -----------------------------------------------------------------------------------------------------------


def candidate(name: str, mse: float | None, loss: float | None = 1.0, **settings: Any) -> Candidate:
    test = ev.Metrics(loss=loss, recon=1.0, kl=2.0, mse=mse, accuracy=0.9, elbo_bpd=7.0, active_units=3)
    epoch = ev.EpochEvent(epoch=1, step=1, seconds=1.0, images_per_s=1.0, train=test, test=test)
    return Candidate(name, "finished", make_config({"name": name, **settings}), 1, 1, epoch, 10, 1.0)


MSE = Figure("mse", ".5f", lambda run: run.best.test.mse if run.best else None, lower_is_better=True)


def test_the_best_is_the_lowest_and_only_what_can_be_compared_has_one() -> None:
    runs = [candidate("a", 0.02, 3.0), candidate("b", 0.01, 2.0), candidate("c", None, 1.0)]
    assert winners(runs, MSE) == {1}
    assert winners(runs, LOSS) == {2}
    assert winners([candidate("a", 0.01), candidate("b", 0.01)], MSE) == set()
    assert winners([candidate("a", 0.02, 3.0), candidate("b", 0.01, 2.0, lr=0.1)], LOSS) == {1}
    assert winners([candidate("a", 0.02, 3.0), candidate("b", 0.01, 2.0, beta=4)], LOSS) == set()
    assert winners([candidate("a", 0.02), candidate("b", 0.01, beta=4)], MSE) == {1}
    assert winners([candidate("a", 0.02), candidate("b", 0.01, **{"test-limit": 50})], MSE) == set()
    assert winners([candidate("a", 0.02), candidate("b", 0.01, data_dir="/own")], MSE) == set()
    assert winners([candidate("a", 0.02), replace(candidate("b", 0.01), test_images=1000)], MSE) == set()


def test_compare_shows_differing_settings_and_marks_the_best_within_80_columns(
    tui_vae: Run,
    own_runs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_run(own_runs, "early", epochs=3, planned=10, state="stopped")
    for number in range(6):
        make_run(own_runs, f"a-run-with-a-rather-long-name-{number}", epochs=7, planned=7)
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = tui_vae("compare", "a-run-with-a-rather-long-name-0", "early")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["run", "a-run-with-a-rather-long-name-0", "early"]
    assert "3/10" in out and "stopped" in out and "*" in out.splitlines()[1] and "*" not in out.splitlines()[2]
    assert "hidden" not in out
    monkeypatch.setenv("COLUMNS", "80")
    names = [run.name for run in list_runs(own_runs)]
    _, out, _ = tui_vae("compare", *names)
    assert max(map(len, out.splitlines())) <= 80
    assert all(name in out for name in names)
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = tui_vae("compare", *names)
    assert len(out.splitlines()) == 1 + 7 + 1
    _, out, _ = tui_vae("compare", "early", "a-run-with-a-rather-long-name-1", "--json")
    early, late = json.loads(out)
    assert (early["settings"], late["settings"]) == ({"epochs": 10}, {"epochs": 7})
    assert early["test"]["mse"] > late["test"]["mse"] > 0
    assert (early["wins"], late["best_epoch"]) == ([], 7)
    assert {"mse", "bits/px", "test loss"} == set(late["wins"])


# -- sweep: the combinations -------------------------------------------------------------------------------------------


def asked(*words: str) -> dict[str, list[Any]]:
    """The values of each option, as they come from the command line."""
    options = vars(make_parser().parse_args(["sweep", *words]))
    return {name.removeprefix("values_"): [value for group in groups for value in group]
            for name, groups in options.items() if name.startswith("values_")}  # fmt: skip


def test_commas_separate_values_where_they_are_not_part_of_one() -> None:
    assert asked("--latent-dim", "2,8,32", "--beta", "1", "--beta", "4") == {"latent_dim": [2, 8, 32], "beta": [1, 4]}
    assert asked("--hidden", "512,256", "--hidden", "400") == {"hidden": [(512, 256), (400,)]}
    assert asked("--device", "cuda:0,cpu", "--data-dir", "/a,b") == {"device": ["cuda:0", "cpu"], "data_dir": ["/a,b"]}
    assert asked("--objective", "mse,sigma", "--train-limit", "100,all") == {
        "objective": ["mse", "sigma"], "train_limit": [100, None]}  # fmt: skip


def names(configs: list[RunConfig]) -> list[str]:
    return [str(each.name) for each in configs]


def test_combinations_are_named_by_what_varies() -> None:
    found = plan({"lr": 0.1}, {"epochs": [3], "latent_dim": [2, 8], "beta": [1.0, 0.5]})
    assert names(found) == [f"sweep-latent-dim-{latent}-beta-{beta}" for latent in (2, 8) for beta in ("1", "0.5")]
    assert [(each.latent_dim, each.beta, each.epochs, each.lr) for each in found] == [
        (2, 1, 3, 0.1), (2, 0.5, 3, 0.1), (8, 1, 3, 0.1), (8, 0.5, 3, 0.1)]  # fmt: skip
    assert names(plan({"name": "file"}, {"seed": [0, 1]})) == ["file-seed-0", "file-seed-1"]
    assert names(plan({"name": "file"}, {"seed": [0, 1], "name": ["x"]})) == ["x-seed-0", "x-seed-1"]
    assert names(plan({}, {"hidden": [(512, 256), (400,)]})) == ["sweep-hidden-512x256", "sweep-hidden-400"]
    assert [each.hidden for each in plan({}, {"preset": ["seed", "default"]})] == [(256,), (512, 256)]


def test_names_stay_names_of_runs_and_apart() -> None:
    long = [run_name("p" * 60, {"latent_dim": value}) for value in (2, 3)]
    assert len(set(long)) == 2 and all(len(name) == 64 for name in long)
    odd = [run_name("sweep", {"data_dir": path}) for path in ("/a/b", "/a-b")]
    assert len(set(odd)) == 2
    assert all(make_config({"name": name}).name == name for name in long + odd)
    with pytest.raises(UsageError, match="nothing to sweep"):
        plan({}, {"beta": [1.0]})


def test_a_run_of_that_name_that_is_another_is_left_alone(
    tui_vae: Run,
    own_runs: Path,
) -> None:
    make_run(own_runs, "sweep-beta-4", planned=10)
    output = tui_vae("sweep", "--beta", "1,4", "--epochs", 20)
    assert_one_sentence(output, 2, "a run 'sweep-beta-4' already, with beta 1, not 4")
    assert [run.name for run in list_runs(own_runs)] == ["sweep-beta-4"]


def test_devices_are_those_that_a_trainer_would_see(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = type("Nvml", (), {"NVMLError": RuntimeError, "nvmlInit": lambda: None, "nvmlDeviceGetCount": lambda: 4})
    monkeypatch.setattr("importlib.import_module", lambda name: nvml)
    expected = {None: 4, "2,0": 2, "": 0, "-1": 0, "0,-1,1": 1, "1,7,2": 1, "GPU-8a,GPU-9b": 2}
    for visible, count in expected.items():
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert cuda_devices() == count


def test_a_model_of_one_s_own_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run's config says where its module is; so does the combination that it is compared with."""
    monkeypatch.chdir(tmp_path)
    (first, _) = plan({"model": "own:Net"}, {"beta": [1.0, 4.0]})
    assert first.model_dir == str(tmp_path)
