"""Driving the app in a test."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from textual.pilot import Pilot


def in_event_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A coroutine as a test that pytest runs without plugins."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def until(pilot: Pilot[Any], reached: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something to come true on screen."""
    for _ in range(int(seconds / 0.02)):
        await pilot.pause(0.02)
        if reached():
            return
    raise AssertionError("it never came true")
