"""The time-lapse of Browse: the saved previews, epoch after epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.timer import Timer
from textual.widget import Widget

from tui_vae.ui.film import Film, read_film
from tui_vae.ui.session import RunSession

FRAME_SECONDS = 0.25


class FilmPlayer:
    """Turns a film's frames. `show` brings the present one on screen; none is turned while the pane is not seen."""

    def __init__(self, pane: Widget, session: RunSession, show: Callable[[], None]) -> None:
        self.film = Film()
        self._pane, self._session, self._show = pane, session, show
        self._timer: Timer | None = None

    async def read(self, newest_only: bool = False) -> Film:
        """The previews saved so far."""
        run = self._session.history.run
        classes = run.dataset.classes if run else ()
        return await asyncio.to_thread(read_film, self._session.directory.previews, classes, newest_only)

    def begin(self, film: Film) -> None:
        """Play it from its start."""
        self.film = film
        film.position = 0
        self.play(True)

    def turn(self) -> None:
        """Halt, or go on; from the start once the end was reached."""
        if not self.film.playing and self.film.position == len(self.film.frames) - 1:
            self.film.position = 0
        self.play(not self.film.playing)

    def step(self, by: int) -> None:
        """Halt, some frames further."""
        self.play(False)
        self.film.step(by)
        self._show()

    def play(self, on: bool) -> None:
        self.film.playing = on
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._pane.set_interval(FRAME_SECONDS, self._next) if on else None

    def _next(self) -> None:
        if self._pane.display and self._pane.screen.is_current:
            if not self.film.step(1):
                self.play(False)
            self._show()
