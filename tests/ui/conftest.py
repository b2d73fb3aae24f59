"""A run that is finished, one that is alive, and a launcher of fake trainers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_run import FakeProcess, make_run
from tests.support.launches import FakeLauncher
from tui_vae.runs import launch
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import StateEvent


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLauncher]:
    launcher = FakeLauncher()
    monkeypatch.setattr(launch, "start_training", launcher.start)
    yield launcher
    for process in launcher.processes:
        process.die()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


@pytest.fixture
def live(run: RunDirectory) -> Iterator[FakeProcess]:
    with FakeProcess(run, "train", step=705) as process:
        process.log(StateEvent(state="training"))
        yield process
