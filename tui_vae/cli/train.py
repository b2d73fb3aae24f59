"""`tui-vae train`: start a run in the background and follow its log; also what Ctrl-C and a hang-up mean there."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from tui_vae import config
from tui_vae.cli import INTERRUPTED, complain
from tui_vae.cli.parser import given_options
from tui_vae.cli.reporters import JsonReporter, LineReporter, Reporter, SilentReporter
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import LOADING_LIMIT, NoProcess, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, runs_directory
from tui_vae.runs.history import History
from tui_vae.runs.launch import StartError, signal_trainer, start_training

POLL = 0.1
DETACH_LIMIT = 60.0
UNREACHED_LIMIT = 5.0
"""Seconds: a trainer whose socket has been swept away listens again within two."""


def train(options: argparse.Namespace) -> int:
    """Start a new run; follow it until it ends. From the moment it is made, Ctrl-C and SIGTERM stop it."""
    given = {**(config.read_config(options.config) if options.config else {}), **given_options(options)}
    wanted = config.make_config(given)
    with asked_to_stop() as asked:
        directory, _ = create_run(runs_directory(options.runs_dir), wanted)
        start_training(directory)
        if not options.detach:
            return follow(directory, reporter(directory, options.json), asked)
        _wait_until_loaded(directory, asked)
        if asked:
            return follow(directory, SilentReporter(), asked)
        print(directory.name)
        return 0


def _wait_until_loaded(directory: RunDirectory, asked: Sequence[int]) -> None:
    """Wait until a run trains, so that what keeps it from training is said here; a long download is not waited for.

    Nor is anything once somebody has asked to stop.

    Raises:
        UserError: it failed.
    """
    tail, history = ev.LogTail(directory.events), History()
    deadline = time.monotonic() + DETACH_LIMIT
    alive = True
    while alive and not asked and history.run is None and time.monotonic() < deadline:
        time.sleep(POLL)
        alive = directory.is_training()
        history.extend(tail.read_all())
    if history.state and history.state.state == "failed":
        raise last_error(directory, history)


def reporter(directory: RunDirectory, as_json: bool) -> Reporter:
    if as_json:
        return JsonReporter()
    if sys.stdout.isatty():
        from tui_vae.cli.progress import ProgressReporter

        return ProgressReporter(directory)
    return LineReporter(directory)


def follow(directory: RunDirectory, report: Reporter, asked: Sequence[int]) -> int:
    """Follow a run until it has ended and return the exit code.

    The first signal in `asked` stops it after a checkpoint; a second one leaves it to itself, as a hang-up does.
    """
    tail, history = ev.LogTail(directory.events), History()
    sent = False
    report.on_start()
    while True:
        alive = directory.is_training()
        for event in tail.read_all():
            history.apply(event)
            report.on_event(event, history)
        if not alive:
            break
        if asked and not sent:
            sent = True
            ask_to_stop(directory)
        if len(asked) > 1:
            report.on_end(history)
            print(f"left before {directory.name} had stopped; should it go on: tui-vae stop {directory.name}",
                  file=sys.stderr)  # fmt: skip
            return INTERRUPTED
        time.sleep(POLL)
    report.on_end(history)
    state = history.state.state if history.state else "failed"
    if state == "failed":
        raise last_error(directory, history)
    if state not in ("finished", "stopped"):
        raise UserError(f"the trainer of run {directory.name!r} died",
                        f"see {directory.log}, then continue with: tui-vae resume {directory.name}")  # fmt: skip
    if state == "stopped":
        print(f"stopped after a checkpoint; continue with: tui-vae resume {directory.name}", file=sys.stderr)
        return INTERRUPTED if asked else 0
    return 0


def last_error(directory: RunDirectory, history: History) -> UserError:
    for message in reversed(history.messages):
        if isinstance(message, ev.ErrorEvent):
            return StartError(message.message, message.hint)
    return StartError(f"run {directory.name!r} failed", f"see {directory.log}")


def ask_to_stop(directory: RunDirectory) -> None:
    """Ask the run to stop, without waiting for its answer: while PyTorch is being imported that takes a while."""
    import threading

    def ask() -> None:
        try:
            _stop(directory)
        except UserError as error:
            complain(error)

    threading.Thread(target=ask, daemon=True).start()


def _stop(directory: RunDirectory) -> None:
    """Stop a run, by a signal to its process where nothing else reaches that.

    Raises:
        RequestError: it refuses, or nothing at all reaches it.
    """
    deadline = time.monotonic() + UNREACHED_LIMIT
    while directory.is_training():  # else it has just ended by itself
        try:
            request(directory, protocol.Stop(), protocol.Done, LOADING_LIMIT)
            return
        except NoProcess:
            if time.monotonic() > deadline:
                if signal_trainer(directory, signal.SIGTERM):
                    return
                raise
        time.sleep(POLL)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """The signals to stop that have come so far."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
