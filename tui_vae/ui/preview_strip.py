"""The preview images as the newest weights see them: asked of the living process, else the ones that were saved."""

from __future__ import annotations

import asyncio
import time

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.images import ImageStrip
from tui_vae.ui.previews import Film, read_film
from tui_vae.ui.session import RunSession

SECONDS = 2.0
"""Between two questions to a trainer, which answers them between its steps; images are most of what a link carries."""


class PreviewStrip(ImageStrip):
    """Originals above, reconstructions below."""

    can_focus = True

    def __init__(self, session: RunSession, *, id: str) -> None:
        super().__init__(id=id)
        self.session = session
        self.border_title = "original above, reconstruction below"
        self._known: tuple[object, ...] = ()
        self._asked_at = 0.0

    def refresh_history(self) -> None:
        """Get newer images if there are any and the strip is seen."""
        if not self.display or not self.size or not self.session.caught_up:
            return
        history = self.session.history
        wanted = (self.session.alive, history.step, len(history.previews), max(history.previews, default=0))
        now = time.monotonic()
        if wanted == self._known or now - self._asked_at < SECONDS:
            return
        self._known, self._asked_at = wanted, now
        self.run_worker(self._load(), group="previews", exclusive=True)

    async def _load(self) -> None:
        film = await asyncio.to_thread(read_film, self.session.directory.previews, (), newest_only=True)
        newer = await self._newest(film) if self.session.alive else None
        if newer is not None:
            self.set_images(*_split(newer), newer.width)
            self._say(f"epoch {newer.epoch}")  # not the step: a frame that changes repaints everything in it
        elif film.frames:
            self.set_images(*_both(film), film.width)
            self._say(f"epoch {film.epoch}")

    async def _newest(self, film: Film) -> protocol.Reconstructions | None:
        indices = [pair.index for pair in film.originals if pair.index is not None]
        if not indices:
            return None
        try:
            return await self.session.request(protocol.Reconstruct(indices=indices), protocol.Reconstructions, 5.0)
        except UserError:
            return None  # it is loading, or has just gone: what was saved is shown instead

    def _say(self, text: str) -> None:
        if self.border_subtitle != text:
            self.border_subtitle = text


def _both(film: Film) -> tuple[list[bytes], list[bytes]]:
    originals = [pair.original for pair in film.pairs if pair.original is not None]
    reconstructions = [pair.reconstruction for pair in film.pairs if pair.reconstruction is not None]
    return originals, reconstructions


def _split(reply: protocol.Reconstructions) -> tuple[list[bytes], list[bytes]]:
    count = len(reply.indices)
    size = len(reply.originals) // count if count else 0
    originals, reconstructions = (
        [images[number * size : (number + 1) * size] for number in range(count)]
        for images in (reply.originals, reply.reconstructions)
    )
    return originals, reconstructions
