"""One line about each run, read from the two ends of its log, however long it is."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunError, deleted_error
from tui_vae.runs.health import health
from tui_vae.runs.safe_files import open_to_read, reason
from tui_vae.runs.valid_epochs import last_valid_step

BLOCK = 256 << 10
"""Bytes read at once."""

IN_TRAINING = 256 << 10
"""Bytes from the log's end. A run without a state event this near to the end is training: nothing else fills a log."""

UNREADABLE = "unreadable"
"""The state of a run that cannot be looked at; no log says it."""

FARTHEST = 4 << 20
"""Bytes from the log's end that are searched for the newest epoch: step events fill 2 kB a second at most."""


@dataclass(frozen=True)
class RunSummary:
    """What `tui-vae ls` and the start screen show of a run.

    `health`: as of `health.health`. `after`: the run that a queued one waits for; else empty.
    `age`: seconds since the log last changed; `started`: when the run first began, in seconds since the epoch.
    `readable`: False for a run with a file that cannot be read, or is no file; its state is `unreadable`, and nothing
    else is known of it. `reason`: why it cannot be read, or of a failed run why it failed.
    """

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
    elbo_bpd: float | None = None
    dataset: str = ""
    started: float | None = None
    readable: bool = True
    reason: str = ""
    health: tuple[str, ...] = ()
    after: str = ""


def summarize_all(directories: Iterable[RunDirectory]) -> list[RunSummary]:
    """The newest figures of several runs, without those that have been deleted meanwhile."""
    found = []
    for directory in directories:
        with suppress(RunError):
            found.append(summarize(directory))
    return found


def summarize(directory: RunDirectory) -> RunSummary:
    """The newest figures of a run. A run whose process died without logging its end is `crashed`.

    Raises:
        RunError: it has been deleted.
    """
    why = directory.why_unreadable()
    if why and directory.changed() is not None:
        return _unreadable(directory, why)
    try:
        return _summarize(directory)
    except OSError as error:
        return _unreadable(directory, reason(error))


def _unreadable(directory: RunDirectory, why: str) -> RunSummary:
    age = max(0.0, time.time() - (directory.changed() or 0.0))
    return RunSummary(
        name=directory.name, state=UNREADABLE, epochs=0, planned=0, test_loss=None, mse=None, kl=None,
        active_units=None, device="", age=age, readable=False, reason=why,
    )  # fmt: skip


def _summarize(directory: RunDirectory) -> RunSummary:
    run: ev.RunEvent | None = None
    state: ev.StateEvent | None = None
    epoch: ev.EpochEvent | None = None
    said: list[str] = []
    valid = math.inf  # older epochs beyond this step are void
    for event, distance in _newest_events(directory):
        if state is None and distance > IN_TRAINING:
            state = ev.StateEvent(t=event.t, state="training")
        match event:
            case ev.RunEvent():
                run = run or event
            case ev.StateEvent() if state is None:
                state = event
            case ev.EpochEvent() if epoch is None and event.step <= valid:
                epoch = event
            case ev.WarningEvent() | ev.ErrorEvent() if run is None:
                said.append(event.message)
        valid = min(valid, last_valid_step(event))
        if run and state and epoch:
            break
    test = epoch.test if epoch else None
    if (changed := directory.changed()) is None:
        raise deleted_error(directory)
    now = state_of(directory, state)
    return RunSummary(
        name=directory.name,
        state=now,
        health=health(epoch, reversed(said), now, run=run),
        epochs=epoch.epoch if epoch else 0,
        planned=run.epochs if run else 0,
        test_loss=test.loss if test else None,
        mse=test.mse if test else None,
        kl=test.kl if test else None,
        active_units=test.active_units if test and test.kl is not None and math.isfinite(test.kl) else None,
        device=run.device if run else "",
        age=max(0.0, time.time() - changed),
        elbo_bpd=test.elbo_bpd if test else None,
        dataset=run.dataset.name if run else "",
        started=started(directory),
        after=state.after if state and now == "queued" else "",
        reason=state.reason if state and now == "failed" else "",
    )


def state_of(directory: RunDirectory, newest: ev.StateEvent | None) -> str:
    """The state in the log, or `crashed` where the log says that a trainer lives and there is none."""
    holder = directory.holder()
    training = holder is not None and holder.mode == "train"
    if newest is None:
        return "loading" if training else "crashed"
    if newest.state in ev.LIVING:
        if not training:
            return "crashed"
        return "paused" if holder is not None and holder.trouble else newest.state
    return newest.state


def started(directory: RunDirectory) -> float | None:
    """When the log's first line was written."""
    try:
        with open_to_read(directory.events) as file:
            first = ev.parse_line(file.readline(BLOCK))
    except FileNotFoundError:
        return None
    return first.t if first else None


def _newest_events(directory: RunDirectory) -> Iterator[tuple[ev.AnyEvent, int]]:
    """All events but steps, newest first, each with its distance from the end of the log in bytes.

    They come from the last `FARTHEST` bytes (where an epoch takes minutes, thousands of steps follow the newest one)
    and from the head, which holds the first `run` event.
    """
    try:
        file = open_to_read(directory.events)
    except FileNotFoundError:
        return
    with file:
        size = start = file.seek(0, os.SEEK_END)
        torn = b""  # the rest of a line that begins in the block before this one
        while start > 0 and size - start < FARTHEST:
            end, start = start, max(0, start - BLOCK)
            file.seek(start)
            lines = (file.read(end - start) + torn).split(b"\n")
            torn = lines.pop(0) if start else b""
            yield from ((event, size - start) for event in _parse_backwards(lines))
        if start > 0:
            file.seek(0)
            yield from ((event, size) for event in _parse_backwards(file.read(min(start, BLOCK)).split(b"\n")))


def _parse_backwards(lines: list[bytes]) -> Iterator[ev.AnyEvent]:
    """The events in lines, last line first, without steps."""
    for line in reversed(lines):
        if not line.startswith(b'{"kind":"step"') and (event := ev.parse_line(line)) is not None:
            yield event
