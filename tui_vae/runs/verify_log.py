"""Reads a run's log line by line, and says what is wrong with it and what the run's other files must agree with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, get_args

import msgspec

from tui_vae.runs import events as ev
from tui_vae.runs.safe_files import open_to_read
from tui_vae.runs.valid_epochs import Epochs, last_valid_step

KINDS = {str(kind.__struct_config__.tag) for kind in get_args(ev.AnyEvent)}

EVENT_BEGINS = b'{"kind":'
"""How every line begins that a process of a run writes, and so one that a crash has torn."""

MOST_NAMED = 5
"""Lines that are named of those that are wrong."""


@dataclass
class LogFacts:
    """What a log says, and how well it reads.

    events, unknown, torn: lines of known kinds, of kinds of other versions, and such as a crash or a full disk cuts.
    wrong: the numbers of lines, from 1, that nobody has written like that. size: bytes read. ends: whether the last
    line is whole. ids: of the `run` events. state: the newest. epochs: the valid ones; furthest: the last of all,
    valid or not. written: of each checkpoint's file the steps at which it was written, as far as they are valid.
    """

    events: int = 0
    unknown: int = 0
    torn: int = 0
    wrong: list[int] = field(default_factory=list)
    size: int = 0
    ends: bool = True
    ids: set[str] = field(default_factory=set)
    state: str = ""
    epochs: list[ev.EpochEvent] = field(default_factory=list)
    furthest: int = 0
    written: dict[str, list[int]] = field(default_factory=dict)
    steps_per_epoch: int = 0

    def newest(self, file: str) -> int | None:
        """The step of which a checkpoint's file should be, or a later one; None where it has not been written."""
        steps = self.written.get(file)
        return steps[-1] if steps else None

    def cut_after(self, step: float) -> None:
        """Forget what is void since a process began at this step."""
        self.written = {file: [each for each in steps if each <= step] for file, steps in self.written.items()}
        self.epochs = [event for event in self.epochs if event.step <= step]

    def problem(self) -> str:
        """What is wrong with the log itself; empty where nothing is."""
        if self.wrong:
            lines = ", ".join(map(str, self.wrong[:MOST_NAMED])) + (", …" if len(self.wrong) > MOST_NAMED else "")
            return f"not as any version writes them: lines {lines}" if len(self.wrong) > 1 else (
                f"not as any version writes it: line {lines}")  # fmt: skip
        numbers = [event.epoch for event in self.epochs]
        if numbers != list(range(1, len(numbers) + 1)):
            missing = next((n for n, each in enumerate(numbers, 1) if n != each), len(numbers))
            return f"epoch {missing} is missing"
        return ""


def read_log(path: Path) -> LogFacts:
    """
    Raises:
        OSError: it cannot be read, or is no plain file.
    """
    facts, epochs = LogFacts(), Epochs[ev.EpochEvent](lambda event: event)
    with open_to_read(path) as file:
        for number, line in enumerate(_lines(file, facts), 1):
            event = ev.parse_line(line) if line is not None else None
            if event is None:
                _note_line(facts, number, line)
                continue
            facts.events += 1
            epochs.apply(event)
            match event:
                case ev.RunEvent():
                    facts.ids |= {event.id} if isinstance(event.id, str) else set()
                    facts.steps_per_epoch = event.steps_per_epoch
                    facts.cut_after(last_valid_step(event))
                case ev.EpochEvent():
                    facts.furthest = max(facts.furthest, event.epoch)
                case ev.StateEvent():
                    facts.state = event.state
                case ev.CheckpointEvent():
                    facts.written.setdefault(event.file, []).append(event.step)
    facts.epochs = epochs.kept
    return facts


def _lines(file: BinaryIO, facts: LogFacts) -> Iterator[bytes | None]:
    """The whole lines; None for one that is too long to be an event."""
    most = ev.LogTail.MOST_LINE
    while line := file.readline(most):
        facts.size += len(line)
        if line.endswith(b"\n"):
            yield line
        elif len(line) == most:
            while (rest := file.readline(most)) and not rest.endswith(b"\n"):
                facts.size += len(rest)
            facts.size += len(rest)
            yield None
        else:
            facts.ends = False


def _note_line(facts: LogFacts, number: int, line: bytes | None) -> None:
    """Count a line that is no event of this version among those that are unknown, torn or wrong."""
    text = (line or b"").strip()
    kind: Any = None
    try:
        value = msgspec.json.decode(text)
        kind = value.get("kind") if isinstance(value, dict) else None
    except ev.DAMAGED:
        if text.startswith(EVENT_BEGINS[: len(text)]) and not text.endswith(b"}"):
            facts.torn += 1
            return
    if isinstance(kind, str) and kind not in KINDS:
        facts.unknown += 1
    else:
        facts.wrong.append(number)


LOSS_TOLERANCE = 1e-3
"""Relative difference up to which two losses are the same: far above rounding, far below that of two epochs."""


def same_loss(one: float | None, other: float | None) -> bool:
    """Whether a loss in a checkpoint is that of the log; one trained anew on another device differs a little."""
    return one is None or other is None or math.isclose(one, other, rel_tol=LOSS_TOLERANCE)
