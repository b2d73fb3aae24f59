"""The figures of one run, epoch by epoch, kept up to date by reading only what is new in its log."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tui_vae.config import RunConfig
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.health import health
from tui_vae.runs.manage import read_note
from tui_vae.runs.steering import Change, Steering
from tui_vae.runs.summary import state_of
from tui_vae.runs.tags import read_tags
from tui_vae.runs.valid_epochs import Epochs

MOST_SAID = 100
"""Warnings and errors of a process that are remembered, the newest: each symptom is reported once in a while."""


class Figures(NamedTuple):
    """One epoch on the test set; the names are those of the events."""

    epoch: int
    step: int
    loss: ev.Number
    recon: ev.Number
    kl: ev.Number
    mse: ev.Number
    elbo_bpd: ev.Number
    active_units: int

    @classmethod
    def of(cls, event: ev.EpochEvent) -> Figures:
        """The figures of an epoch's evaluation on the test set."""
        test = event.test
        return cls(event.epoch, event.step, test.loss, test.recon, test.kl, test.mse, test.elbo_bpd, test.active_units)


@dataclass(frozen=True)
class Record:
    """A run at one moment. Until its log has been read, only the first three fields are known.

    `started`, `changed`: first event and last change of the log, in seconds since the epoch; `seconds`: time spent in
    training; `best`: the epoch of the best test figure; `test_images`: the size of its test set, None where it is not
    known; `pixels`: of an image in all its channels, None in older logs; `health`: as of `health.health`; `steered`:
    what a person changed while it trained; `why`: of a failed run, what is wrong and what to do.
    """

    directory: RunDirectory
    started: float | None
    changed: float
    state: str = ""
    epochs: int = 0
    planned: int = 0
    device: str = ""
    dataset: str = ""
    seconds: float | None = None
    curve: tuple[Figures, ...] = ()
    best: Figures | None = None
    config: RunConfig | None = None
    note: str = ""
    test_images: int | None = None
    pixels: int | None = None
    health: tuple[str, ...] = ()
    steered: tuple[Change, ...] = ()
    after: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    why: str = ""

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def alive(self) -> bool:
        """Whether a process trains the run, or has paused it."""
        return self.state in ev.LIVING


class Ledger:
    """Reads the log of one run from its start and keeps what a `Record` needs."""

    def __init__(self, directory: RunDirectory, facts: os.stat_result) -> None:
        self.directory = directory
        self.complete = False
        """Whether the log has been read to its end once."""
        self._file = facts.st_ino
        self._read_up_to: tuple[int, int] | None = None
        self._tail = ev.LogTail(directory.events)
        self._run: ev.RunEvent | None = None
        self._state: ev.StateEvent | None = None
        self._newest: ev.EpochEvent | None = None
        self._said: deque[str] = deque(maxlen=MOST_SAID)
        """Warnings and errors of the newest process."""
        self._why = ""
        self._steering = Steering()
        self._epochs = Epochs(Figures.of)
        self._curve: tuple[Figures, ...] = ()
        self._started: float | None = None
        self._seconds = 0.0
        self._last: float | None = None
        """When the newest event was written, while that time counts as training."""
        try:
            self._config: RunConfig | None = directory.read_config()
        except UserError:
            self._config = None

    def is_outdated(self, facts: os.stat_result) -> bool:
        """Whether the log is another file now, under the same name."""
        return facts.st_ino != self._file or (self._read_up_to is not None and facts.st_size < self._read_up_to[0])

    def is_up_to_date(self, facts: os.stat_result) -> bool:
        """Whether all has been read that stood in the log when these facts were taken."""
        return self._read_up_to == (facts.st_size, facts.st_mtime_ns)

    def read(self, facts: os.stat_result) -> None:
        """Read the next piece of the log."""
        self._apply(self._tail.read())
        if self._tail.at_end():
            self._read_up_to = facts.st_size, facts.st_mtime_ns
            self.complete = True

    def _apply(self, events: list[ev.AnyEvent]) -> None:
        if events and self._started is None:
            self._started = events[0].t
        for event in events:
            if self._last is not None and not isinstance(event, ev.RunEvent):
                self._seconds += max(0.0, event.t - self._last)
                self._last = event.t
            match event:
                case ev.EpochEvent():
                    self._epochs.apply(event)
                    self._newest = event
                case ev.WarningEvent() | ev.ErrorEvent():
                    self._said.append(event.message)
                    if isinstance(event, ev.ErrorEvent):
                        self._why = " · ".join(filter(None, (event.message, event.hint)))
                case ev.ControlEvent():
                    self._steering.apply(event)
                case ev.RunEvent():
                    self._epochs.apply(event)
                    self._steering.apply(event)
                    self._run = event
                    self._said.clear()
                    self._last = None  # whatever was before it has ended, perhaps long ago
                case ev.StateEvent():
                    self._state = event
                    self._last = event.t if event.state == "training" else None

    def record(self, changed: float) -> Record:
        """The run as far as its log has been read. `changed`: as in `Record`."""
        figures, run = self._epochs.kept, self._run
        if len(figures) != len(self._curve) or (figures and figures[-1] is not self._curve[-1]):
            self._curve = tuple(figures)
        state = state_of(self.directory, self._state)
        return Record(
            directory=self.directory,
            state=state,
            health=health(self._newest if figures else None, self._said, state, run=run),
            steered=tuple(self._steering.changes),
            why=self._why or (self._state.reason if self._state else "") if state == "failed" else "",
            epochs=figures[-1].epoch if figures else 0,
            planned=run.epochs if run else 0,
            device=run.device if run else "",
            dataset=run.dataset.name if run else "",
            started=self._started,
            changed=changed,
            seconds=self._seconds,
            curve=self._curve,
            best=self._epochs.best,
            config=self._config,
            note=read_note(self.directory),
            test_images=run.dataset.test if run else None,
            tags=(kept := read_tags(self.directory)).tags,
            group=kept.group,
            after=self._state.after if self._state and state == "queued" else "",
            pixels=run.dataset.pixels if run else None,
        )
