"""Changes of the learning rate and of β on their way: a second to take them back, then they are sent, and undone once.

A key that was pressed by mistake thus changes nothing about a run; several presses are one change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui_vae.ui.glyphs import glyphs

What = Literal["lr", "beta"]

FACTOR = 1.25
"""One press of a key multiplies or divides the learning rate or β by this: three presses double or halve it."""

SEND_AFTER = 1.0
"""Seconds after the last press in which a change can be taken back before it is sent."""


@dataclass(frozen=True)
class Change:
    """So many presses up, or down where it is negative, of the learning rate (`lr`) or of β (`beta`)."""

    what: What
    presses: int

    @property
    def factor(self) -> float:
        """What it multiplies by."""
        return float(FACTOR**self.presses)

    @property
    def inverse(self) -> Change:
        """What undoes it."""
        return Change(self.what, -self.presses)

    def text(self) -> str:
        """`learning rate ×1.56`, `β ÷1.25`."""
        name = "learning rate" if self.what == "lr" else "β"
        sign, factor = ("×", self.factor) if self.presses > 0 else ("÷", self.inverse.factor)
        return glyphs().plain(f"{name} {sign}{factor:.3g}")


class PendingChanges:
    """Which changes wait to be sent, and which were sent last."""

    def __init__(self) -> None:
        self._presses: dict[What, int] = {}
        self._sent: list[Change] = []

    def press(self, what: What, direction: int) -> None:
        """A key was pressed: up is 1, down is -1."""
        self._presses[what] = self._presses.get(what, 0) + direction

    @property
    def waiting(self) -> list[Change]:
        """What waits to be sent. Presses that cancel each other are no change."""
        return [Change(what, presses) for what, presses in self._presses.items() if presses]

    def take(self) -> list[Change]:
        """What is to be sent now; it can be undone then."""
        waiting, self._presses = self.waiting, {}
        self._sent = waiting or self._sent
        return waiting

    def drop(self) -> list[Change]:
        """Take back what waits, and return it."""
        waiting, self._presses = self.waiting, {}
        return waiting

    def undo(self) -> list[Change]:
        """The changes that undo what was sent last, once."""
        sent, self._sent = self._sent, []
        return [change.inverse for change in reversed(sent)]
