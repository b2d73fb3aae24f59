"""Driving the app in a test."""

import asyncio
import functools
import os
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

from textual._context import visible_screen_stack
from textual.app import App
from textual.pilot import Pilot

from tui_vae.ui.app import TuiVae


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A coroutine as a test that pytest runs without plugins, far from the user's own settings and preferences."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            own = {"TUI_VAE_STATE": f"{folder}/state", "TUI_VAE_CONFIG": f"{folder}/config.toml"}
            with mock.patch.dict(os.environ, {**own, **os.environ}):
                asyncio.run(test(*args, **kwargs))

    return run


async def until(pilot: Pilot[Any] | None, reached: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something to come true on screen, or without one where there is no pilot."""
    for _ in range(int(seconds / 0.02)):
        await (pilot.pause(0.02) if pilot else asyncio.sleep(0.02))
        if reached():
            return
    raise AssertionError("it never came true")


def screen(app: App[Any]) -> str:
    """The screen's text."""
    visible_screen_stack.set(app._background_screens)  # as when the app draws: the help takes what is below from there
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def seen(app: App[Any], pilot: Pilot[Any], text: str) -> str:
    """The screen's text, once this stands on it."""
    await until(pilot, lambda: text in screen(app))
    return screen(app)


async def opened(app: TuiVae, pilot: Pilot[Any]) -> None:
    """Wait until the run's log has been read."""
    await until(pilot, lambda: app.session is not None and app.session.caught_up)


def notifications(app: TuiVae) -> list[str]:
    """The messages of all notifications so far."""
    return [notification.message for notification in app._notifications]
