"""How long training takes until a figure of the test images is reached: `tui-vae bench --until bits=6.74`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tui_vae.cli.bench_target import FIGURES, Target
from tui_vae.config import RunConfig, toml_value
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.failures import last_error
from tui_vae.runs.history import History
from tui_vae.runs.launch import signal_trainer, start_training

POLL = 0.05
"""Seconds between two looks at the log. The time measured is the log's own, so that this adds nothing to it."""

STOPPING = 10.0
"""Seconds that a trainer has to stop, which it does after at most one batch of an evaluation, before it is killed."""

MOST_ORDINARY_EPOCHS = 60
"""Epochs after which the ordinary loop gives up: with a constant learning rate it no longer gets better by then."""


@dataclass(frozen=True)
class Reached:
    """seconds: of training, evaluation of each epoch included, start-up left out. reached: whether the figure was, at
    the end of `epoch`; else that is the last one, and `value` the figure there. wall: seconds from the start of the
    process, which imports PyTorch and loads the images first."""

    reached: bool
    epoch: int
    seconds: float
    wall: float
    value: float | None


def time_until(config: RunConfig, target: Target) -> dict[str, Any]:
    """Train as the configuration says, then in the ordinary way, each until it reaches the figure; for `--json`.

    Raises:
        UserError: one of them failed.
    """
    print(f"training until {target}", file=sys.stderr)
    ours = train_until(config, target)
    print("the same in the ordinary way, which takes longer", file=sys.stderr)
    ordinary = train_ordinarily_until(config, target)
    both = ours.reached and ordinary.reached
    return {
        "figure": target.figure, "value": target.value, "ours": asdict(ours), "ordinary": asdict(ordinary),
        "ordinary_over_ours": ordinary.seconds / ours.seconds if both else None,
    }  # fmt: skip


def train_until(config: RunConfig, target: Target) -> Reached:
    """Train a run in a temporary directory until the figure is reached, or its epochs are done.

    Raises:
        UserError: it failed.
    """
    with tempfile.TemporaryDirectory(prefix="tui-vae-bench-") as folder:
        directory, _ = create_run(Path(folder), replace(config, name="bench"))
        started, seconds, newest = time.perf_counter(), 0.0, None
        start_training(directory)
        with _stopped_in_the_end(directory):
            for event in _epochs(directory):
                seconds, newest = seconds + event.seconds, event
                if target.is_reached(test_figures(event)):
                    break
    assert newest is not None  # a run has at least one epoch
    wall, found = time.perf_counter() - started, test_figures(newest)
    return Reached(target.is_reached(found), newest.epoch, seconds, wall, found[FIGURES[target.figure]])


def test_figures(event: ev.EpochEvent) -> dict[str, float | None]:
    """The figures of the test images that a target may be about."""
    return {"elbo_bpd": event.test.elbo_bpd, "mse": event.test.mse}


def _epochs(directory: RunDirectory) -> Iterator[ev.EpochEvent]:
    """The epochs of a run as its log gets them.

    Raises:
        UserError: it failed, or its process died.
    """
    tail, history = ev.LogTail(directory.events), History()
    while True:
        alive = directory.is_training()
        for event in tail.read_all():
            history.apply(event)
            if isinstance(event, ev.EpochEvent):
                yield event
        if not alive:
            break
        time.sleep(POLL)
    if history.state is None or history.state.state != "finished":
        raise last_error(directory, history)


@contextmanager
def _stopped_in_the_end(directory: RunDirectory) -> Iterator[None]:
    """However this ends, the run's process ends before."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOPPING
            signal_trainer(directory, number)
            while directory.is_training() and time.monotonic() < deadline:
                time.sleep(POLL)


def train_ordinarily_until(config: RunConfig, target: Target) -> Reached:
    """Train the same network by `trainer.ordinary_loop` until the figure is reached, or it gets no better.

    Raises:
        UserError: its process has ended.
    """
    options = {name: toml_value(name, getattr(config, name)) for name in vars(config) if name != "name"}
    started, facts = time.perf_counter(), None
    process = subprocess.Popen(  # noqa: S603  # this Python, our module, checked options
        [sys.executable, "-P", "-m", "tui_vae.trainer.ordinary_loop", json.dumps(options)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            facts = json.loads(line)
            if target.is_reached(facts) or facts["epoch"] >= MOST_ORDINARY_EPOCHS:
                break
        else:
            raise UserError("the ordinary loop ended before it reached the figure", "its output is above")
    finally:
        process.kill()
        process.wait()
    wall = time.perf_counter() - started
    value = facts[FIGURES[target.figure]]
    return Reached(target.is_reached(facts), facts["epoch"], facts["seconds"], wall, value)


def describe(until: dict[str, Any]) -> list[str]:
    """What `time_until` found, in a line for each way to train, and one that compares them."""
    target = Target(until["figure"], until["value"])
    lines = []
    for name, what in (("ours", "tui-vae"), ("ordinary", "the ordinary loop")):
        one = Reached(**until[name])
        if one.reached:
            lines.append(f"{what} reaches {target} after {one.epoch} epochs, {one.seconds:.1f} s of training, "
                         f"{one.wall:.1f} s from its start")  # fmt: skip
        else:
            value = "none" if one.value is None else f"{one.value:.4g}"
            lines.append(f"{what} does not reach {target}: it is at {value} after {one.epoch} epochs, "
                         f"{one.seconds:.1f} s of training")  # fmt: skip
    if until["ordinary_over_ours"] is not None:
        lines.append(f"the ordinary loop takes {until['ordinary_over_ours']:.1f} times as long")
    return lines
