"""A trainer that waits warm for as long as a screen is there from which a run may be started."""

from __future__ import annotations

import asyncio
from importlib import import_module

from textual.app import App

from tui_vae.runs.launch import start_warm
from tui_vae.runs.warm_trainer import WarmTrainer

AFTER = 0.3
"""Seconds after the screen's first paint, in which the app lists its runs. A passer-by starts no process then."""

NEXT_MODULES = ("tui_vae.ui.run_screen", "tui_vae.ui.train.pane", "tomllib", "tomli_w", "PIL.Image")
"""What Enter needs in the app itself; imported while nobody waits."""

GRACE = 1.0
"""Seconds after the last of these screens has gone: the run that it has started may be on its way."""


class WarmKeeper:
    """Starts a trainer that waits, hands it out once, and ends it with the last of these screens."""

    def __init__(self, app: App[str], wanted: bool) -> None:
        self._app = app
        self._wanted = wanted
        self._screens = 0
        self._starting: asyncio.Task[WarmTrainer | None] | None = None

    def count(self, here: bool) -> None:
        """Note that such a screen has come, or has gone."""
        self._screens = max(0, self._screens + (1 if here else -1))
        if here:
            self._app.set_timer(AFTER, self._start)
        elif not self._screens:
            self._app.set_timer(GRACE, self._end)

    def _start(self) -> None:
        if self._wanted and self._screens and self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(self._prepare))

    @staticmethod
    def _prepare() -> WarmTrainer | None:
        warm = start_warm()
        for name in NEXT_MODULES:
            import_module(name)
        return warm

    async def take(self) -> WarmTrainer | None:
        """The process that waits, which is the caller's from here on; None if there is none."""
        starting, self._starting = self._starting, None
        return await starting if starting is not None else None

    async def _end(self) -> None:
        if not self._screens and (warm := await self.take()) is not None:
            warm.close()
