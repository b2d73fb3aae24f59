"""A trainer waits warm while the start screen or the form of a new run is there, and only then."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.fake_run import make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, opened, until
from tests.support.processes import wait_until
from tests.support.terminal import Terminal
from tui_vae import main_memory
from tui_vae.runs import launch, warm_trainer
from tui_vae.runs.warm_trainer import WARM
from tui_vae.ui import keep_warm
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run.screen import NewRun


class FakeWarm:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[FakeWarm]:
    started: list[FakeWarm] = []

    def start() -> FakeWarm:
        started.append(FakeWarm())
        return started[-1]

    monkeypatch.setattr(keep_warm, "start_warm", start)
    monkeypatch.setattr(keep_warm, "AFTER", 0.05)
    monkeypatch.setattr(keep_warm, "GRACE", 0.1)
    return started


@in_event_loop
async def test_the_run_that_is_started_gets_it(tmp_path: Path, launcher: FakeLauncher, waiting: list[FakeWarm]) -> None:
    app = TuiVae(tmp_path, warm=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(waiting))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await pilot.press("enter")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        assert launcher.warm == waiting
        assert len(waiting) == 1


@in_event_loop
async def test_it_ends_with_the_last_screen_that_may_start_a_run(tmp_path: Path, waiting: list[FakeWarm]) -> None:
    make_run(tmp_path, "done", epochs=1)
    app = TuiVae(tmp_path, warm=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(waiting))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await pilot.press("escape", "end", "enter")
        await opened(app, pilot)
        await until(pilot, lambda: waiting[0].closed)
        await pilot.press("n")
        await until(pilot, lambda: len(waiting) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: waiting[1].closed)


@in_event_loop
async def test_none_waits_where_it_is_not_wanted(tmp_path: Path, waiting: list[FakeWarm]) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.3)
        assert not waiting


def test_none_waits_where_memory_is_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(main_memory, "CONTAINER", tmp_path)
    assert warm_trainer.has_room() == (psutil.virtual_memory().available >= warm_trainer.LEAST_FREE)
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "memory.current").write_text("3000000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 5000000\n")
    assert not warm_trainer.has_room()
    assert launch.start_warm() is None
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 2500000000\n")  # files give way to whoever needs room
    monkeypatch.setattr(warm_trainer, "LEAST_FREE", 1_500_000_000)
    assert warm_trainer.has_room() == (psutil.virtual_memory().available >= warm_trainer.LEAST_FREE)


def waiting_for(app: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(app).children() if WARM in child.cmdline()]


def test_the_real_app_has_one_wait_which_ends_with_it(tmp_path: Path) -> None:
    command = (sys.executable, "-P", "-m", "tui_vae", "--runs-dir", str(tmp_path))
    with Terminal(command) as terminal, Terminal((*command, "--no-warm")) as other:
        terminal.until("FashionMNIST")
        other.until("FashionMNIST")
        (child,) = wait_until(lambda: waiting_for(terminal.pid))
        os.kill(terminal.pid, signal.SIGKILL)
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)
        assert not waiting_for(other.pid)
