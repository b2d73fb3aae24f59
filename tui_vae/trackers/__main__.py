"""`python -m tui_vae.trackers RUN_DIRECTORY NAMES OFFSET`: hand on what the log says from OFFSET to the end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tui_vae.runs import events as ev
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.previews import read_originals, read_preview

POLL = 0.5
"""Seconds between two looks at the log: trackers are looked at by people."""

LOWEST_PRIORITY = 19
"""The niceness of this process: training comes first."""

Sheet = tuple[tuple[bytes, ...], tuple[bytes, ...], int, int]
"""Originals and their reconstructions, the pixels of a line, and 1 or 3 bytes a pixel."""


class Tracker(Protocol):
    """Takes what happens to one run, from one start of its trainer to that one's end. `step`: gradient steps."""

    def begin(self, run: ev.RunEvent) -> None: ...

    def report(self, event: ev.StepEvent) -> None: ...

    def epoch_ended(self, event: ev.EpochEvent) -> None: ...

    def preview(self, step: int, moment: float, sheet: Sheet) -> None: ...

    def end(self, run: ev.RunEvent, last: ev.EpochEvent | None) -> None: ...


def main() -> None:
    path, names, offset = sys.argv[1:]
    os.nice(LOWEST_PRIORITY)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with the training that a signal stops, when all is told
    directory = OpenRunDirectory(Path(path))
    here = Path(os.path.realpath(directory.files.path))  # as its processes know it, too
    trackers = [MAKERS[name](here / name) for name in names.split(",")]
    Handing(directory, trackers).follow(ev.LogTail(directory.files.events, int(offset)))


class Handing:
    """Hands the events of one start of a run's trainer to trackers."""

    def __init__(self, directory: OpenRunDirectory, trackers: list[Tracker]) -> None:
        self._directory = directory
        self._trackers = trackers
        self._run: ev.RunEvent | None = None
        self._last: ev.EpochEvent | None = None

    def follow(self, tail: ev.LogTail) -> None:
        """Hand on what comes until training has ended, or has begun anew: then another process does it."""
        goes_on = True
        while goes_on:
            goes_on = self._directory.is_training()
            for event in tail.read_all():
                if self._run is not None and isinstance(event, ev.StateEvent) and event.state == "loading":
                    goes_on = False  # another start of the trainer, which has a process like this of its own
                    break
                self._hand_on(event)
            time.sleep(POLL if goes_on else 0)
        if self._run is not None:
            for tracker in self._trackers:
                tracker.end(self._run, self._last)

    def _hand_on(self, event: ev.AnyEvent) -> None:
        match event:
            case ev.RunEvent():
                first, self._run = self._run is None, event
                if first:
                    self._tell(lambda tracker: tracker.begin(event))
            case ev.StepEvent() if self._run:
                self._tell(lambda tracker: tracker.report(event))
            case ev.EpochEvent() if self._run:
                self._last = event
                self._tell(lambda tracker: tracker.epoch_ended(event))
            case ev.PreviewEvent() if self._last:
                self._preview(event, self._last.step)

    def _preview(self, event: ev.PreviewEvent, step: int) -> None:
        folder = self._directory.files.previews
        originals = read_originals(folder)
        made = read_preview(folder / Path(event.file).name, originals.width, originals.channels)
        if made and len(made) == len(originals.images):  # else a newer one has taken its place
            sheet = originals.images, made, originals.width, originals.channels
            self._tell(lambda tracker: tracker.preview(step, event.t, sheet))

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            what(tracker)


def _tensorboard(folder: Path) -> Tracker:
    from tui_vae.trackers.tensorboard import TensorBoard

    return TensorBoard(folder)


def _wandb(folder: Path) -> Tracker:
    from tui_vae.trackers.weights_and_biases import WeightsAndBiases

    return WeightsAndBiases(folder)


MAKERS: dict[str, Callable[[Path], Tracker]] = {"tensorboard": _tensorboard, "wandb": _wandb}
"""A tracker for each name of the option `log`; each is given its folder in the run's directory."""


if __name__ == "__main__":
    main()
