"""`tui-vae train`: start a run in the background and follow its log; Ctrl-C stops it, a hang-up leaves it training."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tui_vae import config
from tui_vae.cli import complain
from tui_vae.cli.cursor import cursor_comes_back
from tui_vae.cli.parser import given_options
from tui_vae.cli.requeued import is_done, run_of_before
from tui_vae.cli.train_reporters import JsonReporter, LineReporter, Reporter, SilentReporter
from tui_vae.config.data_options import is_own
from tui_vae.config.trackers import check_installed
from tui_vae.config.user_file import read_train_defaults
from tui_vae.errors import UsageError, UserError
from tui_vae.interrupts import COMES_AGAIN, INTERRUPTED
from tui_vae.runs import advice, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.client import LOADING_LIMIT, NoProcess, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, deleted_error, find_run
from tui_vae.runs.failures import refusal
from tui_vae.runs.history import History
from tui_vae.runs.launch import continue_training, signal_trainer, start_training, trainer_environment
from tui_vae.runs.logout import told_once
from tui_vae.runs.machines import Machines, machines_of
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.queue import end_of_queue
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import check_named

POLL = 0.1
"""Seconds between checks of the log: events come at most ten times a second."""

DETACH_LIMIT = 60.0
"""Seconds that `--detach` waits until the run trains; a long download goes on in the background."""

UNREACHED_LIMIT = 5.0
"""Seconds without a listener until SIGTERM is sent: a trainer whose socket was deleted listens again within two."""


def train(options: argparse.Namespace) -> int:
    """Start a new run, or go on with that of a job's earlier start, and follow it until it ends.

    Ctrl-C and SIGTERM stop it from the moment it exists.
    """
    from_file = config.read_config(options.config) if options.config else {}
    given = {**read_train_defaults(), **from_file, **given_options(options)}
    wanted = config.make_config(given)
    check_named(options.config, wanted, from_file.keys() - given_options(options).keys())
    machines = machines_of(options)
    runs_dir, before = runs_directory(options.runs_dir), None
    if options.resume_if_exists:
        before = run_of_before(runs_dir, wanted, given)
        if before is not None and is_done(before):
            return 0
        if before is not None and given.get("devices"):
            from tui_vae.trainer.several.placement import place, recorded

            place(recorded(before), given["devices"], is_new=False)  # before its log would say that the run has failed
    if machines.node_rank:
        help_to_train(wanted, machines, options.detach)
    if before is None:
        check_first(wanted)
    after = end_of_queue(find_run(runs_dir, options.after)) if options.after else None
    with catch_stop_signals(options.resume_if_exists) as signals, cursor_comes_back(sys.stdout):
        found = before or create_run(runs_dir, wanted)[0]
        directory = OpenRunDirectory(found.path)  # so that this very run is followed, also once it is renamed
        if not options.resume_if_exists:
            signal.signal(signal.SIGUSR1, lambda number, frame: signal_trainer(directory, signal.SIGUSR1))
        tail = ev.LogTail(directory.files.events)
        tail.read_all()  # what an earlier start has reported
        if before is None:
            start_training(directory, after=after, machines=machines)
        else:
            continue_training(directory, devices=given.get("devices"), machines=machines)
        if not options.detach:
            return follow(directory, reporter(directory, options.json), signals, options.resume_if_exists, tail)
        _wait_until_loaded(directory, signals)
        if signals:
            return follow(directory, SilentReporter(), signals, options.resume_if_exists)
        print(json.dumps({"run": directory.name, "path": str(directory.path)}) if options.json else directory.name)
        if why := told_once():
            print(f"tui-vae: {why}", file=sys.stderr)
        return 0


def help_to_train(wanted: config.RunConfig, machines: Machines, detach: bool) -> NoReturn:
    """Become the process that helps another machine to train its run, and ends with it.

    Raises:
        UsageError: it is to be in the background, where it has no run whose log could tell of it.
    """
    if detach:
        raise UsageError("--detach is for machine 0, which has the run", "put nohup before the others' command")
    options = ["--device", wanted.device, "--devices", str(wanted.devices), *machines.words()]
    os.execve(  # noqa: S606  # this Python, our module
        sys.executable, [sys.executable, "-P", "-m", "tui_vae.trainer.several.helper", *options], trainer_environment()
    )  # fmt: skip


def check_first(wanted: config.RunConfig) -> None:
    """See whether the data and trackers can be used, before anything of the run is made.

    Raises:
        UserError: they cannot, or what a tracker needs is not installed.
    """
    check_installed(wanted.log)
    if not is_own(wanted.dataset, wanted.data_dir):
        return
    from tui_vae.cli.data import progress_on_stderr
    from tui_vae.core.data.check import check_data

    check_data(wanted, progress_on_stderr())


def _wait_until_loaded(directory: RunDirectory, signals: Sequence[int]) -> None:
    """Wait until a run trains, so that this command reports what keeps it from training.

    It waits `DETACH_LIMIT` seconds at most, and no longer once a signal to stop is in `signals`.

    Raises:
        UserError: the run failed.
    """
    tail, history = ev.LogTail(directory.files.events), History()
    deadline = time.monotonic() + DETACH_LIMIT
    alive = True
    while alive and not signals and history.run is None and not _is_queued(history) and time.monotonic() < deadline:
        time.sleep(POLL)
        alive = directory.is_training()
        history.extend(tail.read_all())
    if history.state and history.state.state == "failed":
        raise refusal(directory, history)


def _is_queued(history: History) -> bool:
    return history.state is not None and history.state.state == "queued"


def reporter(directory: RunDirectory, as_json: bool) -> Reporter:
    """What prints the run's events: as JSON, with a progress bar on a terminal, else a line each."""
    if as_json:
        return JsonReporter()
    if sys.stdout.isatty():
        from tui_vae.cli.progress import ProgressReporter

        return ProgressReporter(directory)
    return LineReporter(directory)


def follow(
    directory: RunDirectory,
    report: Reporter,
    signals: Sequence[int],
    comes_again: bool = False,
    tail: ev.LogTail | None = None,
) -> int:
    """Follow a run until it has ended and return the exit code.

    The first signal in `signals` stops the run after a checkpoint; a second one leaves it alone, as a hang-up does.
    `comes_again`: whether a batch system sends these signals, again and again, and its job then goes on. `tail`: of the
    log, from where on it is reported; by default from its beginning.

    Raises:
        UserError: the run failed, or its process died.
    """
    tail, history = tail or ev.LogTail(directory.files.events), History()
    sent = False
    report.on_start()
    while True:
        alive = directory.is_training()
        for event in tail.read_all():
            history.apply(event)
            report.on_event(event, history)
        if not alive:
            break
        if signals and not sent:
            sent = True
            request_stop(directory)
        if len(signals) > 1 and (not comes_again or signal.SIGINT in signals[1:]):
            report.on_end(history)
            stop = advice.of_run("stop", directory.path)
            print(f"left before {directory.name} had stopped; should it go on: {stop}", file=sys.stderr)
            return INTERRUPTED
        time.sleep(POLL)
    report.on_end(history)
    if isinstance(directory, OpenRunDirectory) and directory.is_gone():
        raise deleted_error(directory)
    state = history.state.state if history.state else "failed"
    again = f"continue with: {advice.of_run('resume', directory.path)}"
    if state == "failed":
        raise refusal(directory, history)
    if state not in ("finished", "stopped"):
        raise UserError(f"the trainer of run {directory.name!r} died", f"see {directory.log}, then {again}")
    if state == "stopped":
        what = "stopped after a checkpoint" if history.run else "taken out of the queue"
        print(f"{what}; {again}", file=sys.stderr)
        if comes_again and signals and signals[0] != signal.SIGINT:
            return COMES_AGAIN
        return INTERRUPTED if signals else 0
    return 0


def request_stop(directory: RunDirectory) -> None:
    """Ask the run to stop, without waiting for the answer: a process that imports PyTorch answers late."""
    import threading

    def ask() -> None:
        try:
            _stop(directory)
        except UserError as error:
            complain(error)

    threading.Thread(target=ask, daemon=True).start()


def _stop(directory: RunDirectory) -> None:
    """Stop a run: by a request, or by a signal to its process where no request reaches it.

    Raises:
        RequestError: it refuses, or neither reaches it.
    """
    deadline = time.monotonic() + UNREACHED_LIMIT
    while directory.is_training():  # it may end by itself
        try:
            request(directory, protocol.Stop(), protocol.Done, LOADING_LIMIT)
            return
        except NoProcess:
            if time.monotonic() > deadline and directory.is_training():
                if signal_trainer(directory, signal.SIGTERM):
                    return
                raise
        time.sleep(POLL)


@contextmanager
def catch_stop_signals(also_usr1: bool = False) -> Iterator[list[int]]:
    """Collect SIGINT, SIGTERM and, where so, SIGUSR1 instead of ending; gives the list of those that have come so far.

    SIGUSR1 and SIGUSR2, which batch systems send to every process before a time limit, end nothing either.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    before |= {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    if also_usr1:
        signal.signal(signal.SIGUSR1, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
