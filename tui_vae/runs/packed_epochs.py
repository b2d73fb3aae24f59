"""Epochs of a log in a few bytes each: a run may have a million of them, and the app keeps them all."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from msgspec import UNSET

from tui_vae.runs import events as ev

_NUMBERS = 24
"""Seven of the event, seven of each evaluation, three of the original notebook: 192 bytes. One that was not finite is
NaN, which no log holds; so are β and learning rate of an older log, and `_NO_LEGACY` stands where nothing is legacy."""

_FIGURES = 7
"""Numbers of an evaluation, see `_figures`."""

_NO_LEGACY = -math.inf


def pack(event: ev.EpochEvent) -> bytes:
    """All of an event but `kl_per_dim`, which is most of it and is read from the log by whoever wants it."""
    legacy = event.legacy
    values = (
        event.t, event.epoch, event.step, event.seconds, event.images_per_s,
        None if event.beta is UNSET else event.beta, None if event.lr is UNSET else event.lr,
        *_figures(event.train), *_figures(event.test),
        *((_NO_LEGACY,) * 3 if legacy is UNSET else (legacy.recon, legacy.kl, legacy.accuracy)),
    )  # fmt: skip
    packed = array("d", [math.nan if value is None else value for value in values])
    assert len(packed) == _NUMBERS
    return packed.tobytes()


def unpack(packed: bytes) -> ev.EpochEvent:
    """The event without its `kl_per_dim`; where β or the learning rate was not finite or not there, it is not there."""
    values = [None if math.isnan(value) else value for value in array("d", packed)]
    t, epoch, step, seconds, images_per_s, beta, lr, *figures = values
    legacy = figures[2 * _FIGURES :]
    return ev.EpochEvent(
        t=t or 0.0, epoch=int(epoch or 0), step=int(step or 0), seconds=math.nan if seconds is None else seconds,
        images_per_s=images_per_s, train=_metrics(figures[:_FIGURES]), test=_metrics(figures[_FIGURES : 2 * _FIGURES]),
        beta=UNSET if beta is None else beta, lr=UNSET if lr is None else lr,
        legacy=UNSET if legacy[0] == _NO_LEGACY else ev.Legacy(*legacy),
    )  # fmt: skip


def _figures(found: ev.Metrics) -> tuple[float | None, ...]:
    return found.loss, found.recon, found.kl, found.mse, found.accuracy, found.elbo_bpd, found.active_units


def _metrics(values: Sequence[float | None]) -> ev.Metrics:
    loss, recon, kl, mse, accuracy, elbo_bpd, active_units = values
    return ev.Metrics(loss, recon, kl, mse, accuracy, elbo_bpd, int(active_units or 0))


class PackedEpochs(Sequence[ev.EpochEvent]):
    """The events behind their bytes; `packed` stays the caller's."""

    def __init__(self, packed: list[bytes]) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> ev.EpochEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[ev.EpochEvent]: ...
    def __getitem__(self, index: int | slice) -> ev.EpochEvent | list[ev.EpochEvent]:
        if isinstance(index, slice):
            return [unpack(each) for each in self._packed[index]]
        return unpack(self._packed[index])

    def __iter__(self) -> Iterator[ev.EpochEvent]:
        return map(unpack, self._packed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedEpochs) and self._packed == other._packed

    __hash__ = None  # type: ignore[assignment]  # as of a list
