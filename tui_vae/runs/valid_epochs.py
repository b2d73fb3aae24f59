"""The valid epochs of a log: the one rule for what a resume makes void, and the epochs that remain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from tui_vae.runs import events as ev

Kept = TypeVar("Kept")


def last_valid_step(event: ev.AnyEvent) -> float:
    """Epochs logged earlier with a step above this are void after `event`; infinity: none of them.

    A process that resumes a run begins at its checkpoint's step, and repeats what a crashed process did after it.
    An epoch at or before another one replaces it.
    """
    match event:
        case ev.RunEvent(step=step) if step is not msgspec.UNSET:
            return step
        case ev.EpochEvent(step=step):
            return step - 1
    return math.inf


class _Entry(NamedTuple):
    """`best`: the index of the best epoch up to this one, None where none of them has a finite test loss."""

    step: int
    loss: float
    best: int | None


class Epochs(Generic[Kept]):
    """The valid epochs of a log in their order; `kept` holds what `keep` makes of the event of each."""

    def __init__(self, keep: Callable[[ev.EpochEvent], Kept]) -> None:
        self.kept: list[Kept] = []
        self._keep = keep
        self._entries: list[_Entry] = []

    def apply(self, event: ev.AnyEvent) -> None:
        """Take in the next event of the log; those that neither end an epoch nor begin a process change nothing."""
        last = last_valid_step(event)
        while self._entries and self._entries[-1].step > last:
            self._entries.pop()
            self.kept.pop()
        if isinstance(event, ev.EpochEvent):
            self._append(event)

    def _append(self, event: ev.EpochEvent) -> None:
        best = self._entries[-1].best if self._entries else None
        loss = math.inf if event.test.loss is None else event.test.loss
        if loss < (math.inf if best is None else self._entries[best].loss):
            best = len(self._entries)
        self._entries.append(_Entry(event.step, loss, best))
        self.kept.append(self._keep(event))

    @property
    def best(self) -> Kept | None:
        """The epoch with the lowest test loss, the first of equals; None while no epoch has a finite one."""
        best = self._entries[-1].best if self._entries else None
        return None if best is None else self.kept[best]
