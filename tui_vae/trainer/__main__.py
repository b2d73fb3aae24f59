"""`python -m tui_vae.trainer RUN_DIRECTORY`: the process that trains a run or, with `--serve`, only answers requests.

With `--warm` alone it imports PyTorch and waits until the app that started it names the run (`runs/warm_trainer.py`).
It takes the run's lock and opens its socket before it imports PyTorch, so that others see it and can ask it at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from tui_vae.config.own_code import allow_digest
from tui_vae.errors import UserError
from tui_vae.runs.lock import RunLock
from tui_vae.runs.machines import add_machine_options, machines_of
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.protocol import Checkpoint, Resume, Stop
from tui_vae.runs.safe_files import reason
from tui_vae.runs.warm_trainer import WARM
from tui_vae.trainer.output import forgive_output
from tui_vae.trainer.server import Inbox, Server, Ticket
from tui_vae.trainer.watch import DirectoryWatch

NICENESS = 10
"""How far the trainer's scheduling priority is below the app's. Measured from key to repaint, 95th percentile: 41 ms
with it and one core left to the app, 85 ms with neither."""


STOPPING = [signal.SIGTERM, signal.SIGXCPU, *([signal.SIGPWR] if hasattr(signal, "SIGPWR") else [])]
"""Signals that stop a run after a checkpoint: an order to end, a used up limit of processor time (which batch systems
send as a notice, too), and a power supply that fails."""


def _request(inbox: Inbox, request: Stop | Checkpoint, number: int, frame: FrameType | None) -> None:
    """Handle a signal as the request that it stands for. What is answered shows in the log."""
    inbox.put(Ticket(request, lambda reply: None))


def _devices(text: str) -> int | str:
    return text if text == "auto" else int(text)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tui_vae.trainer")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--serve", action="store_true", help="answer requests, train only when asked to resume")
    parser.add_argument("--read-only", action="store_true", help="serve, and write nothing into the directory")
    parser.add_argument("--epochs", type=int, default=0, help="train so many epochs more than planned")
    parser.add_argument("--devices", type=_devices, help="how many train it from now on")
    parser.add_argument("--after", metavar="DIRECTORY", type=Path, help="wait until nothing trains this run")
    parser.add_argument("--lr-factor", type=float, help="multiply the learning rate by this before the first step")
    parser.add_argument("--tied-to", metavar="PID", type=int, help="stop once this process, the parent, has gone")
    parser.add_argument("--leave-core", action="store_true", help="leave a core to the app")
    parser.add_argument(
        "--trust",
        metavar="DIGEST",
        action="append",
        default=[],
        help="what may run: the code of a model of the user's own, a command for the run's end",
    )
    add_machine_options(parser)
    return parser.parse_args(arguments)


def main() -> int:
    arguments, warm_start = sys.argv[1:], None
    if arguments == [WARM]:
        from tui_vae.trainer.warm_start import WarmStart

        os.nice(NICENESS)
        warm_start = WarmStart()
        arguments = warm_start.wait_for_run()
    options = _parse(arguments)
    for digest in options.trust:
        allow_digest(digest)
    forgive_output()
    inbox = Inbox()
    # Before the lock shows this process to others, who may then send signals.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in STOPPING:
        signal.signal(number, partial(_request, inbox, Stop()))
    signal.signal(signal.SIGUSR1, partial(_request, inbox, Checkpoint()))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        directory = OpenRunDirectory(options.directory)
        lock = RunLock(directory, "serve" if options.serve else "train", options.read_only)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"run {options.directory.name!r} cannot be locked: {reason(error)}", file=sys.stderr)
        return 1
    if warm_start is None:
        os.nice(NICENESS)
    server = Server(lambda: directory.serving_files(options.read_only).socket, lock, inbox)
    watch = DirectoryWatch(directory, lock, inbox, options.tied_to)
    try:
        from tui_vae.trainer.process import RunProcess

        leave_core = options.leave_core or options.serve
        process = RunProcess(directory, lock, inbox, leave_core, options.read_only, warm_start, machines_of(options))
        try:
            server.start()
            watch.start()
        except RuntimeError as error:  # no thread
            return process.give_up(error, trains=not options.serve)
        wanted = Resume(epochs=options.epochs, lr_factor=options.lr_factor, devices=options.devices)
        return process.run(options.serve, wanted, after=options.after)
    finally:
        watch.close()
        server.close()
        lock.say_farewell()


if __name__ == "__main__":
    # Without the teardown of PyTorch's libraries: it reads 126 MB of them into memory (2.14.1), and takes its time.
    os._exit(main())
