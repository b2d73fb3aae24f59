"""The strip of previews: a few test images above their reconstructions by the newest weights.

The run's process reconstructs them: the images that the user has marked in Browse, else the run's fixed previews.
Without a process the strip shows the previews that were saved last.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.film import SAVED_SECONDS, Film, read_film
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.pairs import ImagePairs, Pairs
from tui_vae.ui.images.picture import split
from tui_vae.ui.newest_worker import run_newest
from tui_vae.ui.run_progress import why_none
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences

REQUEST_SECONDS = 4.0
"""Seconds between two requests to a trainer: it answers between its steps, and images are most of a link's bytes."""

ANSWER_LIMIT = 5.0
"""Seconds to wait for the images; then older ones stay, and the next request may be luckier."""

LOADING = "the images are being loaded …"

TITLE, MARKED = "original above, reconstruction below", "marked images: "
RECONSTRUCTIONS = "reconstructions"
"""The title where there is no room for the originals."""

MOST_MARKED = 64
"""Marked images that are requested, at most."""


class PreviewStrip(ImagePairs):
    """Originals above, reconstructions below: as many as fit; keys show the others."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "turn(1)", "more images", id="previews.later", show=False, tooltip="The images after these"),
        Binding("up", "turn(-1)", "images before", id="previews.earlier", show=False, tooltip="The images before"),
    ]

    def __init__(self, session: RunSession, preferences: Preferences, *, id: str) -> None:
        super().__init__(id=id)
        self.session = session
        self._preferences = preferences
        self.border_title = self._title = TITLE
        self._epoch = ""
        self._known: tuple[object, ...] = ()
        self._requested_at = 0.0
        self._waiting = False
        self._step = -1
        """The step of the weights that made the images; −1 while there are none."""

    @property
    def marked(self) -> list[int]:
        """The indices of the images that the user marked in this run, in the order of marking."""
        return self._preferences.marks.get(str(self.session.directory.path), [])[:MOST_MARKED]

    def refresh_history(self) -> None:
        """Get newer images if there are any and the strip is on the screen."""
        if not self.is_on_screen or not self.size or not self.session.caught_up:
            return
        history = self.session.history
        newest = max(history.previews, default=0)
        wanted = (self.session.alive, history.step, len(history.previews), newest, *self.marked)
        if wanted == self._known:
            return
        rest = self._requested_at + REQUEST_SECONDS - time.monotonic()
        if rest > 0:
            if not self._waiting:  # no later change of the history may come to bring the images up to date
                self._waiting = True
                self.set_timer(rest, self._waited)
            return
        self._known, self._requested_at = wanted, time.monotonic()
        run_newest(self, self._load, "previews")

    def _waited(self) -> None:
        self._waiting = False
        self.refresh_history()

    async def _load(self) -> None:
        marked = self.marked
        film = await asyncio.to_thread(read_film, self.session.directory.previews, (), newest_only=True)
        fixed = [pair.index for pair in film.originals if pair.index is not None]
        self.set_timer(SAVED_SECONDS, partial(self._bridge, film))
        reply = await self._ask(marked or fixed, start=bool(marked))
        if reply is not None:
            title = f"{MARKED if marked else ''}{TITLE}"
            epoch = self.session.epoch_of(reply.step, reply.epoch)
            self._show(title, _pairs(reply), f"epoch {epoch}", reply.step)
        elif film.frames and (self._saved_step(film) >= self._step or (not marked and self._title != TITLE)):
            self._show_saved(film)
        elif not self._pairs:
            unit = "step" if self.session.alive else "images"
            self.wait_for(why_none(unit, self.session.state, self.session.alive))

    def _bridge(self, film: Film) -> None:
        """While the first answer takes long: show what was saved, or say that images are being loaded."""
        if film.frames and not self._pairs:
            self._show_saved(film)
        elif not self._pairs and not self.waiting:
            self.wait_for(LOADING)

    def _show_saved(self, film: Film) -> None:
        self._show(TITLE, film.both, f"epoch {film.epoch}", self._saved_step(film))

    def _saved_step(self, film: Film) -> int:
        run = self.session.history.run
        return film.epoch * run.steps_per_epoch if run else 0

    async def _ask(self, indices: list[int], start: bool) -> protocol.Reconstructions | None:
        """Request the images; `start`: start a process that serves them where none lives."""
        question = protocol.Reconstruct(indices=indices)
        directory = self.session.directory
        serve = start and not self.session.alive and (directory.last.exists() or directory.best.exists())
        try:
            if not indices or not (self.session.server or serve):
                return None
            if serve:
                return await self.session.ask(question, protocol.Reconstructions)
            return await self.session.request(question, protocol.Reconstructions, ANSWER_LIMIT)
        except UserError:
            return None  # the process is loading, or has just gone: the saved previews are shown instead

    def _show(self, title: str, pairs: Pairs, epoch: str, step: int) -> None:
        """The frame names the epoch and not the step: a change of its text repaints everything in it."""
        if self._title != title:
            self._title = title
            self._first = 0
        self._epoch, self._step = epoch, step
        self.show_pairs(pairs)
        self._update_frame()

    def _update_frame(self) -> None:
        """Say which images they are, how others are reached, and which weights made them, as much of it as fits."""
        shown, count, room = self.layout_of_pairs.capacity, len(self._pairs), self.size.width - 4
        titles = (self._title, self._title.removeprefix(MARKED), "originals and reconstructions", RECONSTRUCTIONS)
        title = first_that_fits(titles if self.shows_originals(self.size) else titles[-1:], room)
        texts = [self._epoch]
        if count > shown:
            which = f"{self._first + 1}–{min(self._first + shown, count)} of {count}"
            others = "↑ ↓ others" if self.has_focus else "P shows others"
            texts = [f"{which}, {others} · {self._epoch}", f"{which} · {self._epoch}", self._epoch]
        text = first_that_fits(map(glyphs().plain, texts), room)
        if self.border_title != title:
            self.border_title = title
        if self.border_subtitle != text:
            self.border_subtitle = text

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._update_frame()

    def action_turn(self, direction: int) -> None:
        """Show the images that there is no room for beside these."""
        shown = self.layout_of_pairs.capacity
        at = self._first + direction * shown
        if 0 <= at < len(self._pairs):
            self._first = at
            self.redraw()
            self._update_frame()

    def on_resize(self) -> None:
        shown = self.layout_of_pairs.capacity
        self._first = self._first // shown * shown if shown < len(self._pairs) else 0
        super().on_resize()
        self._update_frame()


def _pairs(reply: protocol.Reconstructions) -> Pairs:
    both = (reply.originals, reply.reconstructions)
    originals, made = (split(images, len(reply.indices), reply.width, reply.channels) for images in both)
    return list(zip(originals, made, strict=True))
