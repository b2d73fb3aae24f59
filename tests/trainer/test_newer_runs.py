"""A run of a newer tui-vae: one sentence says so, and nothing is written into it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tui_vae
from tests.support.checkpoint_bytes import metadata, with_checksum
from tests.support.fake_run import make_run
from tests.support.training import train_here
from tui_vae.errors import UserError
from tui_vae.runs.directory import NewerRun, RunDirectory
from tui_vae.runs.launch import continue_training, start_serving
from tui_vae.trainer import process
from tui_vae.trainer.trained_run import load_trained_run


def add_option(run: RunDirectory) -> None:
    run.config.write_text(run.config.read_text() + 'flow = "planar"\n')


def checkpoint(**changes: Any) -> Callable[[RunDirectory], None]:
    def write(run: RunDirectory) -> None:
        run.last.write_bytes(with_checksum({**metadata(), **changes}))

    return write


NEWER = {
    "an option 'flow'": add_option,
    "has format 7": checkpoint(format=7),
    "a field 'flows'": checkpoint(flows=[1, 2]),
    "an option 'flow-depth'": checkpoint(config={**metadata()["config"], "flow-depth": 3}),
}


@pytest.mark.parametrize("says", NEWER)
def test_one_sentence_says_that_a_newer_version_made_it(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """Before, it had forty option names, and a finished run counted as failed from then on."""
    monkeypatch.setattr(process, "FAREWELL", 0.0)
    run = make_run(own_runs, "new", epochs=2, planned=2)
    NEWER[says](run)
    before = run.events.read_bytes()

    looks: tuple[Callable[[], object], ...] = (lambda: continue_training(run, 2), lambda: start_serving(run))
    for look in looks[: 1 + run.last.exists()]:
        with pytest.raises(NewerRun, match="upgrade") as told:
            look()
        assert says in told.value.message
        assert f"tui-vae {tui_vae.__version__} does not know" in told.value.message
        assert len(str(told.value)) < 200
    assert train_here(run, more_epochs=2) == 1
    if run.last.exists():
        with pytest.raises(UserError, match="upgrade"):
            load_trained_run(run)
    assert run.events.read_bytes() == before


def test_its_version_is_named(own_runs: Path) -> None:
    run = make_run(own_runs, "new", epochs=1)
    log = run.events.read_text()
    run.events.write_text(log.replace('"versions":{}', '"versions":{"tui-vae":"9.1"}', 1))
    add_option(run)
    with pytest.raises(NewerRun, match=r"is of tui-vae 9\.1"):
        continue_training(run, 2)


def test_a_config_of_one_s_own_with_a_wrong_name_still_lists_the_options(tmp_path: Path) -> None:
    from tui_vae.config import read_config
    from tui_vae.errors import UsageError

    file = tmp_path / "mine.toml"
    file.write_text("flow = 1\n")
    with pytest.raises(UsageError, match=r"mine.toml: there is no option 'flow'; options are name, preset"):
        read_config(file)
