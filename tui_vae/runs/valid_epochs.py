"""The valid epochs of a log: the one rule for what a resume makes void, and the epochs that remain."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Generic, TypeVar

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


class Epochs(Generic[Kept]):
    """The valid epochs of a log in their order; `kept` holds what `keep` makes of the event of each."""

    def __init__(self, keep: Callable[[ev.EpochEvent], Kept]) -> None:
        self.kept: list[Kept] = []
        self._keep = keep
        self._steps, self._losses = array("q"), array("d")
        self._best = array("q")
        """The index of the best epoch up to each; -1 where none of them has a finite test loss."""

    def apply(self, event: ev.AnyEvent) -> None:
        """Take in the next event of the log; those that neither end an epoch nor begin a process change nothing."""
        last = last_valid_step(event)
        while self._steps and self._steps[-1] > last:
            for column in (self._steps, self._losses, self._best, self.kept):
                column.pop()
        if isinstance(event, ev.EpochEvent):
            self._append(event)

    def _append(self, event: ev.EpochEvent) -> None:
        best = self._best[-1] if self._best else -1
        loss = math.inf if event.test.loss is None else event.test.loss
        if loss < (math.inf if best < 0 else self._losses[best]):
            best = len(self._steps)
        self._steps.append(event.step)
        self._losses.append(loss)
        self._best.append(best)
        self.kept.append(self._keep(event))

    @property
    def best(self) -> Kept | None:
        """The epoch with the lowest test loss, the first of equals; None while no epoch has a finite one."""
        return self.kept[self._best[-1]] if self._best and self._best[-1] >= 0 else None
