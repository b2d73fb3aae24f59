"""What the model makes of every image of a set, remembered: as an evaluation found it, or looked at anew in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.metrics import Survey, encode, reconstruct, survey_of
from tui_vae.core.models.vae import VAE

PIECE = 250  # images that are looked at at once: some 5 to 10 ms of a CPU core with the default network
FIRST = 1000  # images that answer where all would take too long and nothing is remembered yet

OLD = 10.0
"""Seconds: where an epoch takes longer than that, it is worth to look anew before its end."""

SHARE = 0.1
"""Of the time that looking anew may take while a run trains."""

Look = Generator[None, None, Survey]


@dataclass(frozen=True)
class Seen:
    """A survey, the epoch and step of the weights at its beginning, and when it was made (monotonic seconds)."""

    survey: Survey
    epoch: int
    step: int
    at: float


class Overview:
    """One set of images. `where` tells epoch and step of the weights; `errors`: whether those of images are wanted."""

    def __init__(self, model: VAE, images: Tensor, where: Callable[[], tuple[int, int]], errors: bool) -> None:
        self.seen: Seen | None = None
        self._model = model
        self._images = images
        self._where = where
        self._errors = errors
        self._look: Generator[None, None, None] | None = None
        self._renewing = False
        self._rest_until = 0.0

    @property
    def is_current(self) -> bool:
        """Whether what is remembered is of the newest weights."""
        return self.seen is not None and self.seen.step == self._where()[1]

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next piece of looking anew."""
        return self._renewing and time.monotonic() >= self._rest_until

    def remember(self, survey: Survey) -> None:
        """What an evaluation of the newest weights found."""
        self.seen = Seen(survey, *self._where(), time.monotonic())
        self._look, self._renewing = None, False

    def renew(self) -> None:
        """Look anew, beside training, if what is remembered is old."""
        if self.seen is None or time.monotonic() - self.seen.at > OLD:
            self._renewing = True

    def renew_a_little(self) -> None:
        """Look at the next piece, and rest for as long as `SHARE` asks for."""
        began = time.monotonic()
        with suppress(RuntimeError):  # whoever asks will be told
            self.advance()
        now = time.monotonic()
        self._rest_until = now + (now - began) * (1 / SHARE - 1)

    def advance(self) -> None:
        """Look at the next piece of all the images; after the last, remember what was seen.

        Raises:
            RuntimeError: what PyTorch cannot do; the next call begins anew.
        """
        if self._look is None:
            self._look = self._looking()
        try:
            next(self._look)
        except StopIteration:
            self._look, self._renewing = None, False
        except RuntimeError:
            self._look, self._renewing = None, False
            raise

    def first(self) -> Generator[None, None, Seen]:
        """Look at the first images, which is soon done; it is not remembered."""
        where = self._where()
        survey = yield from self._survey(self._images[:FIRST])
        return Seen(survey, *where, time.monotonic())

    def _looking(self) -> Generator[None, None, None]:
        where = self._where()
        survey = yield from self._survey(self._images)
        self.seen = Seen(survey, *where, time.monotonic())

    def _survey(self, images: Tensor) -> Look:
        mu, logvar, mse = [], [], []
        for piece in torch.split(images, PIECE):
            if self._errors:
                found = reconstruct(self._model, piece)
                mu.append(found.mu)
                logvar.append(found.logvar)
                mse.append(found.mse)
            else:
                for column, part in zip((mu, logvar), encode(self._model, piece), strict=True):
                    column.append(part)
            yield
        return survey_of(mu, logvar, mse)
