"""The valid epochs of a log: the one rule for what a resume makes void, and the epochs that remain."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from tui_vae.runs import events as ev
from tui_vae.runs.best_figure import best_by, best_figure

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
        self._steps, self._values = array("q"), array("d")
        self._by = "loss"
        self._best = array("q")
        """The index of the best epoch up to each; -1 where none of them has a finite figure."""

    def apply(self, event: ev.AnyEvent) -> None:
        """Take in the next event of the log; those that neither end an epoch nor begin a process change nothing."""
        last = last_valid_step(event)
        while self._steps and self._steps[-1] > last:
            for column in (self._steps, self._values, self._best, self.kept):
                column.pop()
        if isinstance(event, ev.EpochEvent):
            self._append(event)
        elif isinstance(event, ev.RunEvent):
            self._by = best_by(event.config)

    def _append(self, event: ev.EpochEvent) -> None:
        best = self._best[-1] if self._best else -1
        figure = best_figure(event.test, self._by)
        value = math.inf if figure is None else figure
        if value < (math.inf if best < 0 else self._values[best]):
            best = len(self._steps)
        self._steps.append(event.step)
        self._values.append(value)
        self._best.append(best)
        self.kept.append(self._keep(event))

    @property
    def best(self) -> Kept | None:
        """The epoch with the best figure, the first of equals; None while no epoch has a finite one."""
        return self.kept[self._best[-1]] if self._best and self._best[-1] >= 0 else None
