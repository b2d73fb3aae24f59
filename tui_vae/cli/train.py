"""`tui-vae train`: start a run in the background and follow its log; also what Ctrl-C and a hang-up mean there."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from tui_vae import config
from tui_vae.cli.parser import given_options
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


class Reporter(Protocol):
    """Tells a person, or a program, how a run goes."""

    def begun(self) -> None: ...

    def told(self, event: ev.AnyEvent, history: History) -> None: ...

    def ended(self, history: History) -> None: ...


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


def epoch_line(event: ev.EpochEvent, planned: int) -> str:
    """One line about an epoch, of test figures."""
    test = event.test

    def figure(value: float | None, form: str) -> str:
        return format(value, form) if value is not None else "nan"

    return (
        f"epoch {event.epoch:>{len(str(planned))}}/{planned}  loss {figure(test.loss, '9.2f')}"
        f"  recon {figure(test.recon, '7.2f')}  KL {figure(test.kl, '6.2f')}  mse {figure(test.mse, '.5f')}"
        f"  accuracy {figure(test.accuracy and 100 * test.accuracy, '5.2f')} %  {figure(test.elbo_bpd, '.3f')} bits"
        f"  {event.seconds:6.2f} s  {figure(event.images_per_s and event.images_per_s / 1000, '6.1f')}k img/s"
    )


def legacy_table(history: History) -> list[str]:
    """The original notebook's table, for a run with its recipe."""
    rows = [event for event in history.epochs if isinstance(event.legacy, ev.Legacy)]
    if not rows:
        return []
    lines = ["", "the original's units (sums over batches of the training set, KL times β; see README):",
             " epoch  reconstruction        KL  accuracy (%)"]  # fmt: skip
    for event in rows:
        assert isinstance(event.legacy, ev.Legacy)
        recon, kl, accuracy = (value if value is not None else float("nan") for value in
                               (event.legacy.recon, event.legacy.kl, event.legacy.accuracy))  # fmt: skip
        lines.append(f"{event.epoch:6}  {recon:14.2f}  {kl:8.2f}  {accuracy:12.2f}")
    return lines


def introduction(run: ev.RunEvent) -> str:
    """What is trained on what, in one line."""
    return (
        f"{run.name}: {run.parameters:,} parameters on {run.device_name or run.device}, {run.precision}, "
        f"{run.dataset.train:,} + {run.dataset.test:,} images of {run.dataset.name} from the {run.dataset.source}"
    )


def warning_line(event: ev.WarningEvent) -> str:
    return f"warning: {event.message}" + (f" ({event.hint})" if event.hint else "")


class JsonLines:
    """The `epoch` events on stdout, everything for people on stderr."""

    def begun(self) -> None:
        pass

    def told(self, event: ev.AnyEvent, history: History) -> None:
        if isinstance(event, ev.EpochEvent):
            sys.stdout.write(ev.encode_line(event).decode())
            sys.stdout.flush()
        elif isinstance(event, ev.WarningEvent):
            print(warning_line(event), file=sys.stderr)

    def ended(self, history: History) -> None:
        pass


class PlainLines:
    """A line for each thing worth telling; no control characters."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def begun(self) -> None:
        self.say(f"{self._directory.name}: watch it with: tui-vae attach {self._directory.name}")

    def told(self, event: ev.AnyEvent, history: History) -> None:
        match event:
            case ev.RunEvent():
                self.say(introduction(event))
            case ev.EpochEvent():
                self.say(epoch_line(event, history.run.epochs if history.run else event.epoch))
            case ev.WarningEvent():
                self.say(warning_line(event))
            case ev.ControlEvent():
                value = "" if event.value is None else f" {event.value:g}"
                self.say(f"{event.command}{value} at step {event.step}")

    def ended(self, history: History) -> None:
        for line in legacy_table(history):
            self.say(line)

    def say(self, line: str) -> None:
        print(line, flush=True)

