"""How a sweep is reported while it goes: what every report needs, and the one of plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from tui_vae.cli.sweep.estimate import seconds_left
from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.train_reporters import message_line
from tui_vae.plain_text import plain
from tui_vae.runs import events as ev
from tui_vae.runs.comparison import why_incomparable
from tui_vae.ui.numbers import duration, short

STATUS_EVERY = 30.0
"""Seconds between two lines about a run that goes on, where lines stay for ever as in a file."""


@dataclass(frozen=True)
class Status:
    """A sweep at one moment. `left`: seconds until it has ended; `best`: the run with the fewest bits so far."""

    runs: Sequence[SweepRun]
    places: int
    stopping: bool

    @property
    def finished(self) -> int:
        return sum(run.state == "finished" for run in self.runs)

    @property
    def share(self) -> float:
        return sum(run.share for run in self.runs) / len(self.runs)

    @property
    def left(self) -> float | None:
        return None if self.stopping else seconds_left(self.runs, self.places)

    @property
    def best(self) -> SweepRun | None:
        """The run with the fewest bits a pixel on the test set; None where they cannot be compared, or none has any."""
        known = [(bits, run) for run in self.runs if (bits := bits_of(run.best)) is not None]
        if why_incomparable([_Compared(run) for _, run in known], is_loss=False):
            return None
        return min(known, key=lambda each: each[0], default=(0.0, None))[1]


class _Compared:
    def __init__(self, run: SweepRun) -> None:
        self.config, self.test_images = run.wanted, None


def bits_of(epoch: ev.EpochEvent | None) -> float | None:
    return epoch.test.elbo_bpd if epoch is not None else None


class Report(Protocol):
    """Reports a sweep. Every line about one run names it."""

    def begun(self, run: SweepRun, what: str) -> None: ...

    def warned(self, run: SweepRun, warning: ev.WarningEvent) -> None: ...

    def ended(self, run: SweepRun, status: Status) -> None: ...

    def note(self, text: str) -> None: ...

    def show(self, status: Status) -> None:
        """Several times a second."""

    def close(self, keep: bool) -> None:
        """The sweep has ended, or was stopped; `keep`: what is shown last stays."""


class LineReport:
    """Plain lines, without control characters: for files, pipes, and terminals that cannot move their cursor."""

    def __init__(self, count: int, stream: TextIO | None = None) -> None:
        self._count = count
        self._stream = stream or sys.stdout
        self._said_at = time.monotonic()

    def begun(self, run: SweepRun, what: str) -> None:
        self._say(run, what)

    def warned(self, run: SweepRun, warning: ev.WarningEvent) -> None:
        self._say(run, message_line(warning))

    def ended(self, run: SweepRun, status: Status) -> None:
        self._say(run, f"{ending(run)}{_progress(status)}")

    def note(self, text: str) -> None:
        print(plain(text), file=self._stream, flush=True)

    def show(self, status: Status) -> None:
        if time.monotonic() < self._said_at + STATUS_EVERY:
            return
        self._said_at = time.monotonic()
        for run in status.runs:
            if run.under_way:
                speed = f"  {short(run.images_per_s, 0)} img/s" if run.images_per_s else ""
                bits = bits_of(run.newest)
                figure = f"  {bits:.3f} bits" if bits is not None else ""
                self._say(run, f"{run.state}  epoch {run.epoch}/{run.planned}{figure}{speed}")
        self.note(_progress(status).removeprefix("; "))

    def close(self, keep: bool) -> None:
        pass

    def _say(self, run: SweepRun, what: str) -> None:
        self.note(f"{run.number:>{len(str(self._count))}}/{self._count} {run.name}: {what}")


def ending(run: SweepRun) -> str:
    """How a run has ended, in a few words with its best figures, or why it is not finished."""
    if run.state == "failed" and run.error is not None:
        return f"failed: {run.error}"
    figures = ""
    if run.best is not None and run.best.test.mse is not None and run.best.test.elbo_bpd is not None:
        test = run.best.test
        figures = f"  mse {test.mse:.5f}  {test.elbo_bpd:.3f} bits at epoch {run.best.epoch}"
    return f"{run.state}{figures}  in {run.seconds:.0f} s"


def _progress(status: Status) -> str:
    """`; 2 of 6 finished, 0:12 left, best: sweep-beta-1`."""
    words = [f"{status.finished} of {len(status.runs)} finished"]
    if (left := status.left) is not None and left >= 0.5:
        words.append(f"{duration(left, 0)} left")
    if (best := status.best) is not None:
        words.append(f"best so far {bits_of(best.best):.3f} bits: {best.name}")
    return "; " + ", ".join(words)
