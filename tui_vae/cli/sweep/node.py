"""Trains one run on the machine of a cluster that was chosen for it, as a child of the cluster's own worker there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from tui_vae import __version__
from tui_vae.cli.sweep.begin import begin
from tui_vae.config import RunConfig, recorded_config
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import signal_trainer
from tui_vae.runs.processes import host_name
from tui_vae.runs.summary import summarize

LOOK = 0.2
"""Seconds between two looks at the run's process."""

ORPHAN = 60.0
"""Seconds to wait for a process that trains the run already: one whose worker has gone stops within a few. Longer than
`WATCHED_FOR` of the lock, after which a dead process on another host no longer counts as living."""

SEEN = 10.0
"""Seconds in which a network file system shows on one machine what another one has written."""

CARRIED = "TUI_VAE_"
"""What the names of the environment's variables begin with that a run takes along: where data and caches are."""


class Order(msgspec.Struct, frozen=True):
    """What a machine needs to know of a run. `config`: its options as recorded; `group`: the sweep's name.

    `witness`: a file that is there where the runs directory is the sweep's own. `folder`: of the command, from which
    relative paths begin.
    """

    runs_dir: str
    config: dict[str, Any]
    group: str
    witness: str
    folder: str
    environment: dict[str, str]
    version: str = __version__

    @property
    def wanted(self) -> RunConfig:
        return recorded_config(self.config)


class Outcome(msgspec.Struct, frozen=True):
    """How a run has ended. `message`, `hint`: why it could not be trained; its log says how else it ended.

    `log_size`: bytes of its log, which another machine may see a while later.
    """

    state: str = ""
    message: str = ""
    hint: str = ""
    log_size: int = 0


def processes_of(wanted: RunConfig) -> int:
    """How many processes train a run, on a device each; `auto` is taken for one."""
    return wanted.devices if isinstance(wanted.devices, int) else 1


def threads_of(wanted: RunConfig) -> int:
    """The CPU threads of a run, of all its processes together: those asked for, or one each."""
    return wanted.threads or processes_of(wanted)


def placed(wanted: RunConfig, cpus: float, gpus: float, without: str = "cpu") -> RunConfig:
    """A new run with so much of a machine: it has as many threads as CPUs, and uses a GPU if it gets one.

    `without`: the device of a run that gets no GPU and asks for no device.
    """
    device = wanted.device
    if device == "auto":
        one = "cuda:0" if wanted.devices == 1 else "cuda"
        device = one if gpus else without
    return replace(wanted, device=device, threads=wanted.threads or max(1, int(cpus)))


def order(wanted: RunConfig, runs_dir: Path, group: str, witness: Path) -> Order:
    """The order for a run: paths are made such that they mean the same on another machine with the same disks."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}
    return Order(os.path.abspath(runs_dir), wanted.to_dict(), group, os.path.abspath(witness), os.getcwd(), environment)


def train_here(told: Order) -> Outcome:
    """Train a run, until it has ended in whatever way; SIGINT stops it after a checkpoint.

    It may be called again, on this machine or another one, for a run that is finished, or that a process still trains
    whose worker has gone: then it goes on after that process has stopped.
    """
    directory = RunDirectory(Path(told.runs_dir) / str(told.config["name"]))
    with _interrupts() as asked:
        try:
            _check(told)
            os.environ.update(told.environment)
            with suppress(OSError):  # not there: relative paths are of no use then, and the run says so
                os.chdir(told.folder)
            _wait_for_orphan(directory, asked)
            if asked:
                return _outcome(directory)
            if not directory.is_training() and not _is_finished(directory):
                begin(directory, told.wanted, told.group, tied=True)
            while directory.is_training():
                if asked:
                    asked.clear()
                    signal_trainer(directory, signal.SIGTERM)
                time.sleep(LOOK)
        except UserError as error:
            return Outcome("failed", error.message, error.hint)
        except OSError as error:
            return Outcome("failed", f"the run cannot be used on {host_name()}: {error}")
    return _outcome(directory)


def _check(told: Order) -> None:
    """
    Raises:
        UserError: this machine cannot train the run as the sweep means it.
    """
    host = host_name()
    if told.version != __version__:
        raise UserError(f"{host} has tui-vae {__version__}, the sweep is of {told.version}",
                        "install the same version on all machines")  # fmt: skip
    deadline = time.monotonic() + SEEN
    while not _sees(told.witness) and time.monotonic() < deadline:
        time.sleep(LOOK)
    if not _sees(told.witness):
        raise UserError(f"{host} does not see {told.runs_dir}", "give --runs-dir on a disk that all machines share")


def _sees(file: str) -> bool:
    with suppress(OSError):  # a network file system looks anew where a folder is read, not where a file is asked for
        return os.path.basename(file) in os.listdir(os.path.dirname(file))
    return False


def _wait_for_orphan(directory: RunDirectory, asked: list[int]) -> None:
    deadline = time.monotonic() + ORPHAN
    while directory.is_training() and time.monotonic() < deadline and not asked:
        time.sleep(LOOK)


def _is_finished(directory: RunDirectory) -> bool:
    return directory.config.is_file() and summarize(directory).state == "finished"


def _outcome(directory: RunDirectory) -> Outcome:
    if not directory.config.is_file():
        return Outcome("waiting")
    size = directory.events.stat().st_size if directory.events.exists() else 0
    return Outcome(summarize(directory).state, log_size=size)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect SIGINT, by which a worker is told that its task is no longer wanted, also where it was ignored."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
