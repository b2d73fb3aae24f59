"""Enter starts a run; whatever the user does while it is being started, nothing of it is lost and nothing breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.support.fake_run import make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, notifications, until
from tui_vae.runs import launch
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.help import Help
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.run_screen import RunScreen
from tui_vae.ui.start_screen import StartScreen

LONGEST = 10.0
"""Seconds that a start waits at most, should a test fail."""


class SlowLauncher:
    """A start of a trainer that goes on when a test says so."""

    def __init__(self, launcher: FakeLauncher) -> None:
        self.asked, self.known, self.ready = Event(), Event(), Event()
        self._launcher = launcher

    def start(self, run: RunDirectory, under_way: Callable[[], None], **rest: Any) -> None:
        self.asked.set()
        self.known.wait(LONGEST)
        under_way()
        self.ready.wait(LONGEST)
        self._launcher.start(run)

    def go_on(self) -> None:
        self.known.set()
        self.ready.set()


@pytest.fixture
def slow(launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch) -> SlowLauncher:
    slow = SlowLauncher(launcher)
    monkeypatch.setattr(launch, "start_training", slow.start)
    return slow


@in_event_loop
async def test_the_screen_of_a_run_comes_once_its_trainer_knows_it_and_not_later(
    tmp_path: Path, slow: SlowLauncher
) -> None:
    """Making the screen takes time from the thread that starts the trainer, which has the longer way to go."""
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await until(pilot, slow.asked.is_set)
        await pilot.pause(0.1)
        assert isinstance(app.screen, StartScreen)
        slow.known.set()
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert app.session is not None and app.session.state == "loading"
        slow.ready.set()
        await until(pilot, lambda: app.session is not None and app.session.state == "training")


@pytest.mark.parametrize(("key", "shown"), [("n", NewRun), ("question_mark", Help)])
@in_event_loop
async def test_what_is_opened_while_a_run_is_being_started_stays(
    tmp_path: Path, slow: SlowLauncher, launcher: FakeLauncher, key: str, shown: type[object]
) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await until(pilot, slow.asked.is_set)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, shown))
        slow.go_on()
        await until(pilot, lambda: any("fashion-1 has begun to train" in said for said in notifications(app)))
        assert isinstance(app.screen, shown)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, StartScreen))
    assert [run.name for run, _ in launcher.started] == ["fashion-1"]


@in_event_loop
async def test_the_start_screen_can_be_gone_back_to_while_a_run_is_being_started(
    tmp_path: Path, slow: SlowLauncher, launcher: FakeLauncher
) -> None:
    app = TuiVae(tmp_path, make_run(tmp_path, "old", epochs=1))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await pilot.press("enter")
        await until(pilot, slow.asked.is_set)
        asyncio.get_running_loop().call_later(0.1, slow.go_on)
        await pilot.press("0")
        await until(pilot, lambda: isinstance(app.screen, StartScreen) and bool(launcher.started))
        assert app.session is None


@pytest.mark.parametrize("after", [0.05, 0.08])
@in_event_loop
async def test_another_run_can_be_opened_while_one_is_being_started(
    tmp_path: Path, slow: SlowLauncher, launcher: FakeLauncher, after: float
) -> None:
    make_run(tmp_path, "old", epochs=1)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("enter")
        await until(pilot, slow.asked.is_set)
        asyncio.get_running_loop().call_later(after, slow.go_on)
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and bool(launcher.started))
        await pilot.pause(0.2)
        assert isinstance(app.screen, RunScreen) and app.session is app.screen.session
        assert [type(each) for each in app.screen_stack[1:]] == [RunScreen]
    assert [run.name for run, _ in launcher.started] == ["fashion-1"], "only the run that is new"
