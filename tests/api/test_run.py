"""The Python side: what it gives is what the commands give, and nothing is loaded before it is needed."""

import csv
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.processes import SMALL, Trained, command, events, finish
from tui_vae import Run, load_run, train
from tui_vae.cli import main
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def run(trained: Trained) -> Run:
    return load_run("done", trained.runs_dir)


def export(trained: Trained, what: str, out: Path) -> None:
    assert main(["export", "done", "--runs-dir", str(trained.runs_dir), "--what", what, "--out", str(out)]) == 0


def test_the_tables_are_the_exported_one(trained: Trained, run: Run, tmp_path: Path) -> None:
    export(trained, "metrics", tmp_path / "metrics.csv")
    with open(tmp_path / "metrics.csv") as file:
        expected = list(csv.DictReader(file))
    for kind in ("numpy", "pandas", "polars"):
        if kind == "numpy":
            names = run.metrics("numpy").dtype.names
        elif find_spec(kind):
            names = tuple(run.metrics(kind).columns)
        else:
            with pytest.raises(UserError, match=f"{kind} is not installed"):
                run.metrics(kind)
            continue
        assert names == tuple(expected[0])
        table = run.metrics(kind)
        for name in expected[0]:
            assert [float(value) for value in table[name]] == [float(row[name]) for row in expected]
    assert run.metrics("numpy")["epoch"].tolist() == [1, 2, 3]


def test_arrays_of_images_go_through_the_network_as_in_the_exported_file(
    trained: Trained, run: Run, tmp_path: Path
) -> None:
    export(trained, "reconstructions", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as arrays:
        images, made, mu, logvar = (arrays[name] for name in ("original", "reconstruction", "mu", "logvar"))
    assert np.array_equal(run.test_images(), images)
    found = run.encode(images)
    assert found.mu.dtype == np.float32 and np.array_equal(found.mu, mu) and np.array_equal(found.logvar, logvar)
    assert np.array_equal(run.reconstruct(images), made)
    assert np.allclose(run.decode(mu[:50]), made[:50], atol=1e-6)
    assert np.allclose(run.reconstruct(images[7] / 255), made[7:8], atol=1e-6)  # one image alone, as floats
    assert np.allclose(run.reconstruct(images[:4].astype(np.int64)), made[:4], atol=1e-6)


def test_the_model_is_a_module_in_evaluation_mode(run: Run) -> None:
    model = run.model()
    assert isinstance(model, torch.nn.Module) and not model.training
    mu, logvar = model.encode(torch.zeros(2, 784) - 1)
    assert mu.shape == logvar.shape == (2, run.config.latent_dim)
    assert torch.allclose(mu[0], torch.from_numpy(run.encode(np.zeros((28, 28), np.uint8)).mu[0]), atol=1e-6)


def test_samples_are_images_that_a_seed_brings_back(run: Run) -> None:
    first, again, other = run.sample(5), run.sample(5), run.sample(5, seed=1)
    assert first.shape == (5, 28, 28) and 0 <= first.min() < first.max() <= 1
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.array_equal(first, run.sample(5, "prior"))


def test_what_does_not_fit_is_said_in_one_sentence(trained: Trained, run: Run) -> None:
    with pytest.raises(UserError, match=r"\(3, 5, 5\) of float64 holds no images of run 'done'; give \(N, 28, 28\)"):
        run.encode(np.zeros((3, 5, 5)))
    with pytest.raises(UserError, match=r"values lie in -1 … 1; give whole numbers from 0 to 255, or floats"):
        run.reconstruct(np.linspace(-1, 1, 784).reshape(28, 28))
    with pytest.raises(UserError, match=r"values lie in 0 … 300"):
        run.reconstruct(np.full((1, 28, 28), [[[0]]]) + np.array([0] * 27 + [300]))
    with pytest.raises(UserError, match=r"latents of shape \(2, 3\) do not fit run 'done'; give \(N, 8\)"):
        run.decode(np.zeros((2, 3)))
    with pytest.raises(UserError, match="there is no run 'other'"):
        load_run("other", trained.runs_dir)
    with pytest.raises(UserError, match=r"there are no tables of 'excel'; choose one of pandas"):
        run.metrics("excel")  # type: ignore[arg-type]


def test_a_terminal_gets_half_blocks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.show(count=2)
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) in (14, 28)  # half blocks, or characters where there are no colours
    run.show(np.zeros((1, 28, 28)))
    assert capsys.readouterr().out != shown


def test_the_network_is_had_without_the_runs_data() -> None:
    """The demo was trained on all of FashionMNIST; there is only the bundled sample here."""
    demo = load_run("demo", Path(__file__).parents[2] / "checkpoints")
    made = demo.sample(3, "prior")
    assert made.shape == demo.reconstruct(made).shape == (3, 28, 28)
    with pytest.raises(UserError, match="was trained on 60000 images; there are 5000 now"):
        demo.test_images()


def test_figures_are_had_without_pytorch(trained: Trained) -> None:
    program = f"""
import sys, tui_vae
assert "tui_vae.api" not in sys.modules
run = tui_vae.load_run(runs_dir={str(trained.runs_dir)!r})
print(run, len(run.metrics("numpy")), run.config.latent_dim, run.state)
assert not {{"torch", "textual", "pandas"}} & set(sys.modules)
"""
    found = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("<run 'done': finished, 3 epochs, ")
    assert found.stdout.endswith("bits a pixel> 3 8 finished\n")


OPTIONS: dict[str, Any] = {
    name.lstrip("-").replace("-", "_"): value for name, value in zip(SMALL[::2], SMALL[1::2], strict=True)
}


def test_training_calls_back_at_each_epoch(own_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    epochs: list[dict[str, object]] = []
    run = train(epochs.append, name="mine", epochs=2, **OPTIONS)
    if os.path.isdir("/proc/self/fd"):  # none of the run's directory stays open
        assert str(run.path.resolve()) not in {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}
    assert [epoch["epoch"] for epoch in epochs] == [1, 2] and epochs[0]["kind"] == "epoch"
    assert (run.name, run.state, len(run.metrics("numpy"))) == ("mine", "finished", 2)
    assert capsys.readouterr().out == ""
    assert finish(command("ls", "--json"))[1].count('"mine"') == 1
    with pytest.raises(UserError, match="mine"):
        train(name="mine", epochs=2, **OPTIONS)


def test_an_exception_of_the_callback_stops_the_run_after_a_checkpoint(own_runs: Path) -> None:
    def fail(epoch: dict[str, object]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(fail, name="mine", epochs=100_000, **OPTIONS)
    directory = RunDirectory(own_runs / "mine")
    assert not directory.is_training() and load_run("mine").state == "stopped"
    assert events(directory, ev.CheckpointEvent) and load_run("mine").encode(np.zeros((28, 28))).mu.shape == (1, 8)


def test_unknown_options_leave_no_run(own_runs: Path) -> None:
    with pytest.raises(UserError, match="latent_dims"):
        train(latent_dims=3)
    assert not own_runs.exists()
