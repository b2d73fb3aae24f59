"""Keys that come in one burst, as over a slow line, act in the order in which they were typed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual import events
from textual.widgets import Input

from tests.support.piloting import in_event_loop, until
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run.screen import NewRun


def written(one: Input, other: Input, first: str, second: str) -> bool:
    return (one.value, other.value) == (first, second)


def burst(app: TuiVae, *keys: str) -> None:
    """Send all keys before the app has looked at the first."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


BURSTS = (
    (["ctrl+u", *"tmp"], "tmp", ""),
    ([*"bc", "home", "a", "end", "d"], "abcd", ""),
    ([*"ab", "backspace", "c"], "ac", ""),
    (["ctrl+u", *"ab", "tab", *"cd"], "ab", "cd"),
    (["tab", *"cd", "shift+tab", "ctrl+u", *"ab"], "ab", "cd"),
)


@in_event_loop
async def test_a_burst_of_keys_writes_what_was_typed(tmp_path: Path) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        one, other = (app.screen.query_one(f"#field-{name} Input", Input) for name in ("dataset", "data-dir"))
        for keys, first, second in BURSTS:
            one.value = other.value = ""
            one.focus()
            await pilot.pause()
            burst(app, *keys)
            await until(pilot, partial(written, one, other, first, second))
            await pilot.pause(0.1)
            assert written(one, other, first, second)
        burst(app, *"xy", "escape")
        await until(pilot, lambda: not isinstance(app.screen, NewRun))
