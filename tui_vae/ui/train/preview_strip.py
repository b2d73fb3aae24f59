"""A few test images as the newest weights see them: asked of the living process, else the ones that were saved.

They are the images that were marked while browsing, where a process can be asked, else the run's fixed previews.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.film import Film, read_film
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Tile
from tui_vae.ui.images.pairs import ImagePairs, Pairs
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences

SECONDS = 4.0
"""Between two questions to a trainer, which answers them between its steps; images are most of what a link carries."""

TITLE = "original above, reconstruction below"

MOST_MARKED = 64
"""Marked images that are asked for."""


class PreviewStrip(ImagePairs):
    """Originals above, reconstructions below: as many as fit, the others a key away."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "turn(1)", "more images", id="previews.later", show=False, tooltip="The images after these"),
        Binding("up", "turn(-1)", "images before", id="previews.earlier", show=False, tooltip="The images before"),
    ]

    def __init__(self, session: RunSession, preferences: Preferences, *, id: str) -> None:
        super().__init__(id=id)
        self.session = session
        self._preferences = preferences
        self.border_title = TITLE
        self._told = ""
        self._waiting_for = ""
        """What stands in the middle once it is known that there are no images."""
        self._known: tuple[object, ...] = ()
        self._asked_at = 0.0
        self._waiting = False
        self._step = -1
        """Of the weights that made what is shown; −1 while nothing is."""

    @property
    def marked(self) -> list[int]:
        return self._preferences.marks.get(str(self.session.directory.path), [])[:MOST_MARKED]

    def refresh_history(self) -> None:
        """Get newer images if there are any and the strip is seen."""
        if not self.is_on_screen or not self.size or not self.session.caught_up:
            return
        history = self.session.history
        newest = max(history.previews, default=0)
        wanted = (self.session.alive, history.step, len(history.previews), newest, *self.marked)
        if wanted == self._known:
            return
        rest = self._asked_at + SECONDS - time.monotonic()
        if rest > 0:
            if not self._waiting:  # the last news of a run are followed by none that would bring the images up to date
                self._waiting = True
                self.set_timer(rest, self._waited)
            return
        self._known, self._asked_at = wanted, time.monotonic()
        self.run_worker(self._load(), group="previews", exclusive=True)

    def _waited(self) -> None:
        self._waiting = False
        self.refresh_history()

    async def _load(self) -> None:
        marked = self.marked
        film = await asyncio.to_thread(read_film, self.session.directory.previews, (), newest_only=True)
        fixed = [pair.index for pair in film.originals if pair.index is not None]
        reply = await self._ask(marked or fixed, start=bool(marked))
        if reply is not None:
            title = f"{'marked images: ' if marked else ''}{TITLE}"
            self._show(title, _split(reply), reply.width, f"epoch {reply.epoch}", reply.step)
        elif film.frames and (self._saved_step(film) >= self._step or (not marked and self.border_title != TITLE)):
            self._show(TITLE, film.both, film.width, f"epoch {film.epoch}", self._saved_step(film))
        elif not self._pairs:
            self._waiting_for = "after the first step" if self.session.alive else "no images yet"
            self.redraw()

    def _saved_step(self, film: Film) -> int:
        run = self.session.history.run
        return film.epoch * run.steps_per_epoch if run else 0

    async def _ask(self, indices: list[int], start: bool) -> protocol.Reconstructions | None:
        """The images under the newest weights; `start`: where no process lives, one that serves is worth its start."""
        question = protocol.Reconstruct(indices=indices)
        directory = self.session.directory
        serve = start and not self.session.alive and (directory.last.exists() or directory.best.exists())
        try:
            if not indices or not (self.session.holder or serve):
                return None
            if serve:
                return await self.session.ask(question, protocol.Reconstructions)
            return await self.session.request(question, protocol.Reconstructions, 5.0)
        except UserError:
            return None  # it is loading, or has just gone: what was saved is shown instead

    def _show(self, title: str, pairs: Pairs, width: int, told: str, step: int) -> None:
        """The frame tells the epoch, not the step: when it changes, everything in it is repainted."""
        if self.border_title != title:
            self.border_title = title
            self._first = 0
        self._told, self._step = told, step
        self._waiting_for = ""
        self.show_pairs(pairs, width)
        self._say()

    def _say(self) -> None:
        shown, count = self.layout_of_pairs.capacity, len(self._pairs)
        text = self._told
        if count > shown:
            last = min(self._first + shown, count)
            text = glyphs().plain(f"{self._first + 1}–{last} of {count}, ↑ ↓ others · {text}")
        if self.border_subtitle != text:
            self.border_subtitle = text

    def action_turn(self, direction: int) -> None:
        """Show the images that have no room beside these."""
        shown = self.layout_of_pairs.capacity
        at = self._first + direction * shown
        if 0 <= at < len(self._pairs):
            self._first = at
            self.redraw()
            self._say()

    def on_resize(self) -> None:
        shown = self.layout_of_pairs.capacity
        self._first = self._first // shown * shown if shown < len(self._pairs) else 0
        super().on_resize()
        self._say()

    def tiles(self, size: Size) -> Iterable[Tile]:
        if self._waiting_for:
            text = self._waiting_for[: size.width]
            yield self.text((size.width - len(text)) // 2, size.height // 2, len(text), (text, "label"))
        yield from super().tiles(size)


def _split(reply: protocol.Reconstructions) -> Pairs:
    count = len(reply.indices)
    size = len(reply.originals) // count if count else 0
    slices = [slice(number * size, (number + 1) * size) for number in range(count)]
    return [(reply.originals[each], reply.reconstructions[each]) for each in slices]
