"""The time-lapse of Browse: plays the saved previews, epoch after epoch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.timer import Timer

from tui_vae.ui.film import Film, read_film
from tui_vae.ui.pane import Pane
from tui_vae.ui.session import RunSession

FRAME_SECONDS = 0.25
"""Seconds per frame: the 60 previews that a long run keeps play for 15 seconds."""


class FilmPlayer:
    """Plays a film in a pane, and halts while nobody can see the pane."""

    def __init__(self, pane: Pane, session: RunSession, show: Callable[[], None]) -> None:
        """`show` shows the current frame."""
        self.film = Film()
        self._pane, self._session, self._show = pane, session, show
        self._timer: Timer | None = None

    async def read(self, newest_only: bool = False) -> Film:
        """The previews saved so far."""
        run = self._session.history.run
        classes = run.dataset.classes if run else ()
        return await asyncio.to_thread(read_film, self._session.directory.previews, classes, newest_only)

    def begin(self, film: Film) -> None:
        """Play a film from its start."""
        self.film = film
        film.position = 0
        self.play(True)

    def turn(self) -> None:
        """Halt, or play on; at the film's end, play it from its start."""
        if not self.film.playing and self.film.position == len(self.film.frames) - 1:
            self.film.position = 0
        self.play(not self.film.playing)

    def step(self, by: int) -> None:
        """Halt, and show the frame that lies this many further."""
        self.play(False)
        self.film.step(by)
        self._show()

    def play(self, on: bool) -> None:
        """Play from the present frame, or halt there."""
        self.film.playing = on
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._pane.set_interval(FRAME_SECONDS, self._next) if on else None

    def _next(self) -> None:
        if self._pane.watched:
            if not self.film.step(1):
                self.play(False)
            self._show()
