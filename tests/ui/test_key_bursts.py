"""Keys that come in one burst, as over a slow line, act in the order in which they were typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from tests.support.piloting import in_event_loop, until
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run.screen import NewRun


def burst(app: TuiVae, *keys: str) -> None:
    """Send all keys before the app has looked at the first."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


@pytest.mark.parametrize(
    ("keys", "first", "second"),
    [
        (["ctrl+u", *"tmp"], "tmp", ""),
        ([*"bc", "home", "a", "end", "d"], "abcd", ""),
        ([*"ab", "backspace", "c"], "ac", ""),
        (["ctrl+u", *"ab", "tab", *"cd"], "ab", "cd"),
        (["tab", *"cd", "shift+tab", "ctrl+u", *"ab"], "ab", "cd"),
    ],
    ids=" ".join,
)
@in_event_loop
async def test_a_burst_of_keys_writes_what_was_typed(tmp_path: Path, keys: list[str], first: str, second: str) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        one, other = (app.screen.query_one(f"#field-{name} Input", Input) for name in ("dataset", "data-dir"))
        one.value = other.value = ""
        one.focus()
        await pilot.pause()
        burst(app, *keys)
        await until(pilot, lambda: (one.value, other.value) == (first, second))
        await pilot.pause(0.1)
        assert (one.value, other.value) == (first, second)


@in_event_loop
async def test_what_follows_escape_goes_to_the_screen_below(tmp_path: Path) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        burst(app, *"ab", "escape")
        await until(pilot, lambda: not isinstance(app.screen, NewRun))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
