"""The command palette under quick fingers: keys in one burst, while it opens and while it searches."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from textual.app import SystemCommand
from textual.events import Key
from textual.pilot import Pilot
from textual.screen import Screen
from textual.system_commands import SystemCommandsProvider

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.ui.app import TuiVae
from tui_vae.ui.workarounds.palette import Palette

NAMES = ("Attend", "Go first", "Go second", "Go third", "Zebra")


class Tried:
    """An app on a run whose palette has commands that only say that they were run, and a search that takes a while."""

    def __init__(self, runs: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.ran: list[str] = []
        self.app = TuiVae(runs, make_run(runs, "fashion-1", epochs=2, state="stopped"))
        search = SystemCommandsProvider.search

        async def slow_search(provider: SystemCommandsProvider, query: str) -> AsyncIterator[Any]:
            await asyncio.sleep(seconds)
            async for hit in search(provider, query):
                yield hit

        def offered(app: TuiVae, screen: Screen[object]) -> Iterable[SystemCommand]:
            return [SystemCommand(name, "", lambda name=name: self.ran.append(name)) for name in NAMES]

        monkeypatch.setattr(SystemCommandsProvider, "search", slow_search)
        monkeypatch.setattr(TuiVae, "get_system_commands", offered)

    def burst(self, *keys: str) -> None:
        """Keys that are read at once, as over a slow line."""
        for key in keys:
            self.app.post_message(Key(key, key if len(key) == 1 else None))

    async def closed(self, pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: not isinstance(self.app.screen, Palette))
        await pilot.pause()


@pytest.mark.parametrize("seconds", [0, 0.1])
@in_event_loop
async def test_enter_runs_what_was_typed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    tried = Tried(tmp_path / "runs", monkeypatch, seconds)
    async with tried.app.run_test(size=(100, 30)) as pilot:
        await opened(tried.app, pilot)
        for keys, wanted in (
            (("ctrl+p", *"zebra", "enter"), "Zebra"),
            (("ctrl+p", "a", "enter"), "Attend"),
            (("ctrl+p", *"go", "down", "down", "enter"), "Go third"),
            (("ctrl+p", *"go", "down", "up", "enter", "enter"), "Go first"),
        ):
            tried.burst(*keys)
            await until(pilot, lambda: bool(tried.ran))
            await tried.closed(pilot)
            assert tried.ran == [wanted]
            tried.ran.clear()


@in_event_loop
async def test_a_palette_that_is_left_or_finds_nothing_while_it_searches_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = Tried(tmp_path / "runs", monkeypatch, 0.05)
    async with tried.app.run_test(size=(100, 30)) as pilot:
        await opened(tried.app, pilot)
        for keys in (
            ("ctrl+p", "escape"),
            ("ctrl+p", *"zebra", "enter", "escape"),
            ("ctrl+p", *"go", "down", "ctrl+p", "pagedown", "enter", "up", "escape"),
            ("ctrl+p", *"zeb", "enter", "t", "enter", "down", "pageup", "escape", "ctrl+p", "escape"),
        ):
            tried.burst(*keys)
            await tried.closed(pilot)
        await pilot.pause(0.3)
        assert tried.ran == [] and tried.app.return_value is None
        assert not isinstance(tried.app.screen, Palette)
        for _ in range(2):  # whatever they do, the app lives
            tried.burst(
                "ctrl+p", *random.choices(["g", "o", "z", "enter", "down", "up", "backspace", "pagedown"], k=12)
            )
            await pilot.pause(0.05)
            tried.burst("escape", "escape")
            await tried.closed(pilot)
        tried.ran.clear()
        tried.burst("ctrl+p", "z", "enter")
        await until(pilot, lambda: tried.ran == ["Zebra"])


@in_event_loop
@pytest.mark.parametrize("width", [60, 120])
async def test_the_palette_has_a_line_an_entry_with_its_group_and_its_keys(tmp_path: Path, width: int) -> None:
    app = TuiVae(tmp_path, make_run(tmp_path, "fashion-1", epochs=2, state="stopped"))
    async with app.run_test(size=(width, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("ctrl+p")
        text = await seen(app, pilot, "Logarithmic or linear y axes")
        (line,) = (line for line in text.splitlines() if "Logarithmic" in line)
        assert re.search(r"Logarithmic or linear y axes {3,}l\b", line)
        group, first = next(line.split()[:2] for line in text.splitlines() if re.search(r"\bTrain {3,}\w", line))
        assert group != first
        await pilot.press(*"learning")
        await until(pilot, lambda: "Logarithmic" not in screen(app))
        rate = next(line for line in screen(app).splitlines() if "Raise the learning rate" in line)
        assert "run" in rate and ("+ =" in rate or width < 100)
