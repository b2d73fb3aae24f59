"""What a person changed while a run trained: a run that was steered is not what its configuration alone makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.safe_files import open_to_read

NAMES = {"set lr": "lr", "set muon-lr": "muon-lr", "set beta": "β", "lr": "lr", "beta": "β"}
"""The commands that change what is trained (in logs of version 0.1 without `set`) → the names of what they change."""

CHUNK = 4 << 20
"""Bytes of a log that are searched at once."""

SEARCHED = rb'\{"kind":"(?:control|run)"[^\n]*'
"""A line that matters here; the log of a long run has a million others. Within a line its quotes would be escaped."""


class Change(NamedTuple):
    """One change: `before` is None in older logs."""

    command: str
    before: float | None
    after: float | None
    epoch: int
    step: int

    def as_json(self) -> dict[str, Any]:
        """`{command, from, to, epoch, step}`."""
        return {"command": self.command, "from": self.before, "to": self.after, "epoch": self.epoch, "step": self.step}

    def __str__(self) -> str:
        before, after = ("?" if value is None else f"{value:g}" for value in (self.before, self.after))
        return f"{NAMES[self.command]} {before} → {after} @ epoch {self.epoch}"


def wordings(changes: Sequence[str]) -> tuple[str, ...]:
    """Several changes in words: all of them, the last one and how many others there are, or how many there are."""
    if not changes:
        return ("",)
    others = f"{changes[-1]}, +{len(changes) - 1}" if len(changes) > 1 else changes[0]
    return ", ".join(changes), others, f"{len(changes)} change{'s' * (len(changes) != 1)}"


class Steering:
    """The changes that have made the weights what they are, without those that a resume from a checkpoint undid."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def apply(self, event: ev.AnyEvent) -> None:
        """Take in the next event of the log."""
        match event:
            case ev.RunEvent(step=step) if step is not UNSET:
                self.changes = [change for change in self.changes if change.step <= step]
            case ev.ControlEvent(command=command) if command in NAMES:
                before = None if event.before is UNSET else event.before
                self.changes.append(Change(command, before, event.value, event.epoch, event.step))


def read_steering(directory: RunDirectory) -> list[Change]:
    """The changes in a run's log, whose other lines are passed over unread.

    Raises:
        OSError: the log cannot be read.
    """
    steering, rest = Steering(), b""
    with open_to_read(directory.events) as file:
        while chunk := file.read(CHUNK):
            whole, _, rest = (rest + chunk).rpartition(b"\n")
            for line in re.findall(SEARCHED, whole):
                if (event := ev.parse_line(line)) is not None:
                    steering.apply(event)
    return steering.changes
