"""Latent's view of the KL: its three parts, and below them bars, distributions or the epochs."""

from __future__ import annotations

import asyncio
import time
from enum import Enum

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.client import LOADING_LIMIT
from tui_vae.runs.epoch_details import EpochDetails
from tui_vae.ui.latent.kl_bars import KlBars
from tui_vae.ui.latent.kl_history import KlHistory
from tui_vae.ui.latent.kl_split import Distribution, Distributions, SplitWords, distributions
from tui_vae.ui.latent.plane import Plane
from tui_vae.ui.session import RunSession

AGAIN_SECONDS = 30.0
"""Seconds, at least, between two splits that only follow the weights: each costs the trainer a second of work."""


LEAST_HEIGHT = 11
"""Lines from which there is room for the parts of the KL above the bars."""


COMPUTING = "the {} are being computed …"

READING, NO_EPOCH = "the log is being read …", "no epoch with the KL of each dimension yet"


class Face(Enum):
    """What stands below the parts of the KL."""

    BARS = "bars"
    DISTRIBUTIONS = "q(z) and the prior"
    EPOCHS = "epochs"


class KlViews(Vertical):
    """Asks for the parts of the KL while it is in front, and reads the log for the epochs."""

    def __init__(self, session: RunSession, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.face = Face.BARS
        self._session = session
        self._plane: Plane | None = None
        self._order: list[int] = []
        self._place = 0
        self._found: list[Distribution] = []
        self._split_step: int | None = None
        """Of the weights that the parts are of; None before they are known."""
        self._of_living = False
        """Whether the run trained when they were asked for."""
        self._asked_at = 0.0
        self._asking = self._reading = False
        self._details = EpochDetails(session.directory.events)

    def compose(self) -> ComposeResult:
        yield SplitWords()
        yield KlBars()
        yield Distributions()
        yield KlHistory()

    def on_mount(self) -> None:
        self.query_one(KlHistory).wait_for(READING)
        self._show_face()

    def on_resize(self, event: Resize) -> None:
        self.query_one(SplitWords).display = event.size.height >= LEAST_HEIGHT

    def show(self, plane: Plane, order: list[int], place: int) -> None:
        """Show the dimensions in this order. `place`: that of the selected one in it."""
        self._plane, self._order, self._place = plane, order, place
        self.query_one(KlBars).show(plane, order, place)
        if len(self._found) == len(order):
            self.query_one(Distributions).show(self._found, order, place)
        self.query_one(KlHistory).show(self._details.details, order, place)

    def turn(self) -> None:
        """Show the next face."""
        faces = list(Face)
        self.face = faces[(faces.index(self.face) + 1) % len(faces)]
        self._show_face()
        self.follow()

    @property
    def row(self) -> int:
        """Dimensions by which a step up or down leads further, where it leads to another row; else 1."""
        return self.query_one(Distributions).columns if self.face is Face.DISTRIBUTIONS else 1

    def _show_face(self) -> None:
        self.query_one(KlBars).display = self.face is Face.BARS
        self.query_one(Distributions).display = self.face is Face.DISTRIBUTIONS
        self.query_one(KlHistory).display = self.face is Face.EPOCHS

    def follow(self) -> None:
        """Ask for what is not there yet, or is of older weights than the plane."""
        if self._plane is None:
            return
        ended = self._of_living and not self._session.alive  # then there are the parts of all images to be had
        old = self._split_step is None or self._split_step < self._plane.step or ended
        waited = time.monotonic() - self._asked_at >= (AGAIN_SECONDS if self._session.alive else 1.0)
        if old and not self._asking and (self._split_step is None or waited):
            self._asking, self._asked_at, self._of_living = True, time.monotonic(), self._session.alive
            self.run_worker(self._ask(), group="split")
        if self.face is Face.EPOCHS and not self._reading:
            self._reading = True
            self.run_worker(self._read(), group="details")

    async def _ask(self) -> None:
        words = self.query_one(SplitWords)
        if self._split_step is None:
            words.say(COMPUTING.format("parts of the KL"))
            self.query_one(Distributions).wait_for(COMPUTING.format("distributions of z"))
        try:
            reply = await self._session.ask(protocol.SplitKl(), protocol.KlSplit, timeout=LOADING_LIMIT)
        except UserError as error:
            self._split_step = self._plane.step if self._plane else 0  # not again for these weights
            words.say(f"the parts of the KL are not known: {error.message}")
            self.query_one(Distributions).wait_for(f"the distributions of z are not known: {error.message}")
            return
        finally:
            self._asking = False
        self._split_step, self._found = reply.step, distributions(reply)
        words.show(reply)
        if self._plane is not None and len(self._found) == len(self._order):
            self.query_one(Distributions).show(self._found, self._order, self._place)

    async def _read(self) -> None:
        try:
            while await asyncio.to_thread(self._details.read):
                pass
        except OSError:
            return  # it cannot be read at the moment: what is known stays on screen
        finally:
            self._reading = False
        self.query_one(KlHistory).wait_for(NO_EPOCH)
        self.query_one(KlHistory).show(self._details.details, self._order, self._place)
