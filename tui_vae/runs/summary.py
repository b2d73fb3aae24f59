"""One line about each run, read from the end of its log, however long that is."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory

TAIL = 64 << 10


@dataclass(frozen=True)
class RunSummary:
    """What `tui-vae ls` and the start screen tell of a run. `age` is in seconds since the log last changed."""

    name: str
    state: str
    epochs: int
    planned: int
    test_loss: float | None
    mse: float | None
    kl: float | None
    active_units: int | None
    device: str
    age: float


def summarize(directory: RunDirectory) -> RunSummary:
    """The newest figures of a run. A run whose process died without a word is `crashed`."""
    run: ev.RunEvent | None = None
    state: ev.StateEvent | None = None
    epoch: ev.EpochEvent | None = None
    for event in _newest_events(directory):
        match event:
            case ev.RunEvent() if run is None:
                run = event
            case ev.StateEvent() if state is None:
                state = event
            case ev.EpochEvent() if epoch is None:
                epoch = event
        if run and state and epoch:
            break
    test = epoch.test if epoch else None
    try:
        age = max(0.0, time.time() - directory.events.stat().st_mtime)
    except FileNotFoundError:
        age = max(0.0, time.time() - directory.path.stat().st_mtime)
    return RunSummary(
        name=directory.name,
        state=state_of(directory, state),
        epochs=epoch.epoch if epoch else 0,
        planned=run.epochs if run else 0,
        test_loss=test.loss if test else None,
        mse=test.mse if test else None,
        kl=test.kl if test else None,
        active_units=test.active_units if test else None,
        device=run.device if run else "",
        age=age,
    )


def state_of(directory: RunDirectory, newest: ev.StateEvent | None) -> str:
    """The state in the log, or `crashed` where the log speaks of a living trainer and there is none."""
    if newest is None:
        return "loading" if directory.is_training() else "crashed"
    if newest.state in ("loading", "training", "paused") and not directory.is_training():
        return "crashed"
    return newest.state


def _newest_events(directory: RunDirectory) -> list[ev.AnyEvent]:
    """Events, newest first: the log's tail, and its head, where the first `run` event stands."""
    try:
        with directory.events.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().split(b"\n")
            if size > TAIL:
                file.seek(0)
                lines = file.read(TAIL).split(b"\n") + lines[1:]
    except FileNotFoundError:
        return []
    return [event for line in reversed(lines) if (event := ev.parse_line(line)) is not None]
