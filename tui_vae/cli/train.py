"""`tui-vae train`: start a run in the background and follow its log; also what Ctrl-C and a hang-up mean there."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tui_vae import config
from tui_vae.cli.parser import given_options
from tui_vae.cli.report import JsonLines, PlainLines, Reporter
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import NoProcess, request
from tui_vae.runs.directory import RunDirectory, create_run, runs_directory
from tui_vae.runs.history import History
from tui_vae.runs.launch import StartError, start_training

INTERRUPTED = 130
POLL = 0.1
LOADING_LIMIT = 60.0


def train(options: argparse.Namespace) -> int:
    """Start a new run; follow it until it ends."""
    given = {**(config.read_config(options.config) if options.config else {}), **given_options(options)}
    wanted = config.make_config(given)
    directory, _ = create_run(runs_directory(options.runs_dir), wanted)
    start_training(directory)
    if options.detach:
        _wait_until_loaded(directory)
        print(directory.name)
        return 0
    return follow(directory, reporter(directory, options.json))


def _wait_until_loaded(directory: RunDirectory) -> None:
    """Wait until a run trains, so that what keeps it from training is said here; a long download is not waited for.

    Raises:
        UserError: it failed.
    """
    tail, history = ev.LogTail(directory.events), History()
    deadline = time.monotonic() + LOADING_LIMIT
    alive = True
    while alive and history.run is None and time.monotonic() < deadline:
        time.sleep(POLL)
        alive = directory.is_training()
        history.extend(tail.read_all())
    if history.state and history.state.state == "failed":
        raise last_error(directory, history)


def reporter(directory: RunDirectory, as_json: bool) -> Reporter:
    if as_json:
        return JsonLines()
    if sys.stdout.isatty():
        from tui_vae.cli.progress import LiveProgress

        return LiveProgress(directory)
    return PlainLines(directory)


def follow(directory: RunDirectory, report: Reporter) -> int:
    """Follow a run until it has ended and return the exit code.

    Ctrl-C and SIGTERM stop the run after a checkpoint; a second one leaves it to itself. A hang-up leaves it training.
    """
    tail, history = ev.LogTail(directory.events), History()
    with asked_to_stop() as asked:
        sent = 0
        report.begun()
        while True:
            alive = directory.is_training()
            for event in tail.read_all():
                history.apply(event)
                report.told(event, history)
            if not alive:
                break
            if asked and not sent:
                sent = 1
                ask_to_stop(directory)
            if len(asked) > 1:
                print(f"{directory.name} goes on; stop it with: tui-vae stop {directory.name}", file=sys.stderr)
                return INTERRUPTED
            time.sleep(POLL)
    report.ended(history)
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
            request(directory, protocol.Stop(), protocol.Done, timeout=120)
        except NoProcess:
            pass  # it has just ended by itself
        except UserError as error:
            print(f"tui-vae: {error}", file=sys.stderr)

    threading.Thread(target=ask, daemon=True).start()


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
