"""The posterior statistics of a set of images, kept from its last evaluation, or computed anew in small batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import at_once, encode, reconstruct
from tui_vae.core.evaluation.posteriors import PosteriorStatistics, posterior_statistics
from tui_vae.core.models.vae import VAE

BATCH = 250
"""Images that are computed between two training steps: 5 to 10 ms of a CPU core with the default network."""

FIRST_IMAGES = 1000
"""Images that stand for all where nothing is cached yet and computing all of them would take too long."""

STALE_AFTER = 10.0
"""Seconds after which an answer from the cache causes a refresh beside training. Shorter epochs need none."""

REFRESH_SHARE = 0.03
"""The share of the time that a refresh may take while a run trains: watching costs training no more than that."""


@dataclass(frozen=True)
class CachedStatistics:
    """Statistics, the epoch and step of the weights that they are of, and when they were ready (monotonic seconds)."""

    statistics: PosteriorStatistics
    epoch: int
    step: int
    at: float


class EvaluationCache:
    """The newest statistics of one set of images.

    Args:
        images: `(N, height, width)` on the model's device.
        where: gives the epoch and the step of the model's weights.
        errors: whether a refresh also decodes the images, for their `mse`.
    """

    def __init__(self, model: VAE, images: Tensor, where: Callable[[], tuple[int, int]], errors: bool) -> None:
        self.newest: CachedStatistics | None = None
        self._model = model
        self._images = images
        self._where = where
        self._errors = errors
        self._refresh: Generator[None, None, CachedStatistics] | None = None
        self._refresh_wanted = False
        self._rest_until = 0.0

    @property
    def is_current(self) -> bool:
        """Whether the cached statistics are of the newest weights."""
        return self.newest is not None and self.newest.step == self._where()[1]

    @property
    def is_refresh_due(self) -> bool:
        """Whether it is time for the next batch of a refresh beside training."""
        return self._refresh_wanted and time.monotonic() >= self._rest_until

    def store(self, statistics: PosteriorStatistics) -> None:
        """Keep what an evaluation of the newest weights found. It ends a refresh under way."""
        self.newest = CachedStatistics(statistics, *self._where(), time.monotonic())
        self._refresh, self._refresh_wanted = None, False

    def request_refresh(self) -> None:
        """Begin a refresh beside training, unless the cached statistics are fresh enough."""
        if self.newest is None or time.monotonic() - self.newest.at > STALE_AFTER:
            self._refresh_wanted = True

    def refresh_beside_training(self) -> None:
        """Compute the next batch of a refresh; the next one is due after a rest that keeps to `REFRESH_SHARE`."""
        began = time.monotonic()
        with suppress(RuntimeError):  # the next request for these statistics meets the same error, and answers with it
            self.advance_refresh()
        now = time.monotonic()
        self._rest_until = now + (now - began) * (1 / REFRESH_SHARE - 1)

    def advance_refresh(self) -> None:
        """Compute the next batch of a refresh, the first one if none is under way; store the statistics at its end.

        Raises:
            RuntimeError: PyTorch failed; the next call begins anew.
        """
        if self._refresh is None:
            self._refresh = self._compute(self._images)
        try:
            next(self._refresh)
        except StopIteration as end:
            self.newest = end.value
            self._refresh, self._refresh_wanted = None, False
        except RuntimeError:
            self._refresh, self._refresh_wanted = None, False
            raise

    def compute_first_images(self) -> Generator[None, None, CachedStatistics]:
        """The statistics of the first images alone, which are soon there and are not kept. Yields between batches."""
        return self._compute(self._images[:FIRST_IMAGES])

    def _compute(self, images: Tensor) -> Generator[None, None, CachedStatistics]:
        """The statistics of images `(N, height, width)`. Yields after each batch."""
        epoch, step = self._where()
        mus, logvars, errors = [], [], []
        for batch in torch.split(images, at_once(BATCH, self._model.pixels)):
            if self._errors:
                result = reconstruct(self._model, batch)
                mu, logvar = result.mu, result.logvar
                errors.append(result.mse)
            else:
                mu, logvar = encode(self._model, batch)
            mus.append(mu)
            logvars.append(logvar)
            yield
        return CachedStatistics(posterior_statistics(mus, logvars, errors), epoch, step, time.monotonic())
