"""One run of a sweep, as its log shows it: its state, its newest figures, how fast it goes, how much is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tui_vae.cli.sweep.places import Place
from tui_vae.config import RunConfig, text_of
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.failures import refusal
from tui_vae.runs.history import History
from tui_vae.runs.summary import state_of

LEAST_EVIDENCE = 0.5
"""Seconds of training from which its throughput counts: the first steps are slower than all others."""

LIVING = ("loading", "training", "paused")


@dataclass
class Throughput:
    """How fast one process trains, from its first step on: wall time, evaluation and checkpoints included.

    `seconds`, `images`: from the first event with a step to the newest one.
    """

    start_up: float | None = None
    """Seconds from the command to start it to its first step; None where it has made none."""
    seconds: float = 0.0
    images: int = 0


@dataclass(eq=False)
class SweepRun:
    """A combination of a sweep and its run. `place`: where it trains, None while it does not."""

    number: int
    wanted: RunConfig
    directory: RunDirectory
    group: str = ""
    """The name of the sweep, which becomes that of the runs' group."""
    device: str = "auto"
    """The device that it last used, where it continues; else the one that it asks for."""
    state: str = "waiting"
    place: Place | None = None
    error: UserError | None = None
    """Why it is not finished; None while it may yet be."""
    newest: ev.EpochEvent | None = None
    best: ev.EpochEvent | None = None
    images_per_s: float | None = None
    told_to_stop: bool = False
    throughput: Throughput = field(default_factory=Throughput)
    begun_at: float = 0.0
    seconds: float = 0.0
    """From its start by this command to its end, wall time."""
    training_since: float | None = None
    """When its first step was logged by the process that trains it now."""
    train_images: int | None = None
    planned: int = 0
    step: int = 0
    total_steps: int = 0
    history: History | None = None
    _tail: ev.LogTail | None = None
    _first: tuple[float, int] | None = None
    _moment: float = 0.0

    def __post_init__(self) -> None:
        self.planned, self.device = self.wanted.epochs, self.wanted.device

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def epoch(self) -> int:
        return self.newest.epoch if self.newest else 0

    @property
    def under_way(self) -> bool:
        return self.state in ("starting", "stopping", *LIVING)

    @property
    def waits(self) -> bool:
        """Whether it will begin: `queued` where a cluster has been told of it already."""
        return self.state in ("waiting", "queued")

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        if self.state == "finished":
            return 1.0
        if self.total_steps:
            return min(1.0, self.step / self.total_steps)
        return 0.0

    def settings(self, names: Sequence[str]) -> list[str]:
        """The values of these options, as a user types them."""
        return [text_of(name, getattr(self.wanted, name)) for name in names]

    def open_log(self) -> None:
        """Read the log from its start: what it says before the run is started, continued or made anew."""
        self.history, self._tail = History(), ev.LogTail(self.directory.events)
        self._apply(self._tail.read_all())

    def begin(self, place: Place | None) -> None:
        self.place, self.state, self.begun_at = place, "starting", time.time()
        self.error, self._first = None, None

    def read_on(self) -> list[ev.WarningEvent]:
        """Read what is new in the log of a living run; gives the warnings in it."""
        if self._tail is None:
            self.open_log()
        assert self._tail is not None and self.history is not None
        found = self._tail.read_all()
        self._apply(found)
        state = self.history.state.state if self.history.state else "loading"
        if state in LIVING:
            self.state = "stopping" if self.told_to_stop else state
        return [each for each in found if isinstance(each, ev.WarningEvent)]

    def end(self) -> None:
        """Take the end of a run whose process has gone from its log, and forget its curves."""
        assert self.history is not None
        self.state = state_of(self.directory, self.history.state)
        self.seconds, self.images_per_s = time.time() - self.begun_at, None
        if self.state == "failed":
            self.error = refusal(self.directory, self.history)
        elif self.state == "crashed":
            self.error = UserError("its process died", f"see {self.directory.log}")
        elif self.state != "finished":
            self.error = UserError("it was stopped")
        self.history = self._tail = None

    def fail(self, error: UserError) -> None:
        """It could not be started, or its log cannot be read any longer."""
        self.state, self.error, self.history, self._tail = "failed", error, None, None

    def _apply(self, events: Sequence[ev.AnyEvent]) -> None:
        assert self.history is not None
        self.history.extend(events)
        for event in events:
            match event:
                case ev.RunEvent():
                    self.planned, self.train_images = event.epochs, event.dataset.train
                    self._first, self.training_since = None, None
                case ev.StepEvent() | ev.EpochEvent() if event.t >= self.begun_at > 0:
                    self._note_pace(event)
        self.total_steps, self.step = self.history.total_steps, self.history.step
        if self.history.epochs:
            self.newest, self.best = self.history.epochs[-1], self.history.best

    def _note_pace(self, event: ev.StepEvent | ev.EpochEvent) -> None:
        if isinstance(event, ev.StepEvent):
            self.images_per_s = event.images_per_s
        if self._first is None:
            self._first, self.training_since = (event.t, event.step), event.t
            self.throughput.start_up = event.t - self.begun_at
        since, step = self._first
        self._moment = event.t
        images = (event.step - step) * self.wanted.batch_size
        self.throughput.seconds, self.throughput.images = event.t - since, max(0, images)

    def seconds_left(self, seconds_per_image: float | None, start_up: float) -> float | None:
        """Until it is finished, from its own throughput where that is known, else from that of others; None: unknown.

        `start_up`: seconds from a start to the first step.
        """
        if self.throughput.seconds >= LEAST_EVIDENCE and self.throughput.images and self.under_way:
            seconds_per_image = self.throughput.seconds / self.throughput.images
        if seconds_per_image is None:
            return None
        rest = self.images_left * seconds_per_image
        if self.under_way and self._first is not None:
            return max(0.0, rest - (time.time() - self._moment))
        waited = time.time() - self.begun_at if self.under_way else 0.0
        return max(0.0, start_up - waited) + rest

    @property
    def images_left(self) -> float:
        """Images that it will still be trained on; `train_images` is one epoch's, which must be known."""
        if self.total_steps:
            return (self.total_steps - self.step) * self.wanted.batch_size
        return self.planned * (self.train_images or 0)
