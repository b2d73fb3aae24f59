"""Starts a run's process so that no terminal, hang-up or killed app ends it, and sends it signals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from tui_vae.errors import NO_MORE_PROCESSES, UserError
from tui_vae.runs import advice
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.client import NoProcess, request
from tui_vae.runs.data_check import check_data_of
from tui_vae.runs.directory import (
    RunDirectory,
    RunError,
    already_living,
    check_resumable,
    deleted_error,
    finished_error,
    read_only_error,
    read_output,
)
from tui_vae.runs.events import ErrorEvent, LogTail
from tui_vae.runs.machines import Machines
from tui_vae.runs.newer import check_not_newer
from tui_vae.runs.processes import COMMAND
from tui_vae.runs.protocol import Done, Resume
from tui_vae.runs.safe_files import open_own, reason
from tui_vae.runs.summary import summarize
from tui_vae.runs.trainer_log import Mode, mark_start, words_of_newest
from tui_vae.runs.trust import check_code, check_command
from tui_vae.runs.warm_trainer import WarmTrainer, has_room

START_LIMIT, START_PAUSE = 20.0, 0.01
"""Seconds within which a process must hold its run's lock, which it takes before it imports PyTorch. And between two
looks: short, as every start waits for it."""

MOST_LAST_LINE = 4096
"""Bytes from the end of a trainer's output in which its last line is looked for."""

LISTEN_LIMIT = 7.0
"""Seconds after which a process that holds the lock counts as started without a socket: it can train without one."""


ENDING_LIMIT, ENDING_PAUSE = 8.0, 0.1
"""Seconds to wait for a process that holds the lock and answers nobody, as one that ends; and between two checks."""

OWN_MAPPING, KEPT_FREE = 64 << 20, 256 << 20
"""Bytes from which on glibc gives a block of memory a mapping of its own, which it returns as soon as it is freed; and
bytes at the heap's end that it keeps when they are free. Both are above what a step of the presets takes."""

SPINS = 10_000
"""Rounds that a thread of OpenMP spins for another one before it sleeps: some microseconds."""

TIED = "--tied-to"
"""The trainer's option that names the process without which it stops."""


Devices = int | Literal["auto"]
"""How many devices of a machine: a number, or all there are."""


class StartError(UserError):
    """The process ended before it was ready."""


class Forestalled(StartError):
    """Another process took the run's lock first, such as one that was started from another terminal."""


def start_training(
    directory: RunDirectory,
    more_epochs: int = 0,
    leave_core: bool = False,
    warm: WarmTrainer | None = None,
    after: RunDirectory | None = None,
    lr_factor: float | None = None,
    tied: bool = False,
    devices: Devices | None = None,
    machines: Machines | None = None,
    under_way: Callable[[], object] = lambda: None,
) -> subprocess.Popen[bytes]:
    """Start the process that trains this run, from its last checkpoint if it has one.

    `leave_core`: where a new run may choose its CPU threads, it leaves a core to the app that started it. `warm`: a
    process that waits for a run, and gets this one. `after`: a run that is to end first. `lr_factor`: what the learning
    rate is multiplied by before the first step. `tied`: it stops after a checkpoint when this process has gone.
    `devices`: how many train it from now on, by default as many as it says. `machines`: those that train it together.
    `under_way`: called once the process knows its run; what follows is waiting for it.

    Raises:
        RunError: a process already trains it, or what resuming needs is not there. ReadOnlyRun: it is another user's.
        NotTrusted: the run names code of a model, or a command for its end, that may not run.
        StartError: the process ended at once; the message is its own.
        Forestalled: another process was quicker.
    """
    if directory.is_training():
        watch = advice.of_run("attach", directory.path)
        raise RunError(f"run {directory.name!r} is already being trained", f"watch it: {watch}")
    if not directory.path.exists():
        raise deleted_error(directory)
    directory.check_own()
    directory.check_readable()
    check_resumable(directory)
    options = ["--epochs", str(more_epochs)] if more_epochs else []
    if command := check_command(directory):
        options += ["--trust", command[1]]
    if after is not None:
        options += ["--after", os.path.abspath(after.path)]
    options += ["--lr-factor", repr(lr_factor)] if lr_factor else []
    options += [TIED, str(os.getpid())] if tied else []
    options += ["--devices", str(devices)] if devices else []
    options += machines.words() if machines else []
    options += ["--leave-core"] if leave_core else []
    return _start(directory, options, warm=warm, under_way=under_way)


def start_warm() -> WarmTrainer | None:
    """Start a process that waits for a run to train; None where there is little memory, or it cannot be started."""
    with suppress(OSError):
        return WarmTrainer(trainer_environment()) if has_room() else None
    return None


def start_serving(directory: RunDirectory) -> subprocess.Popen[bytes] | None:
    """Start a process that loads the run's weights and answers requests; None if one lives already or was quicker.

    Of a run that this user may only look at, or that lives on another host, it writes nothing into the directory.

    Raises:
        RunError: the run has no checkpoint, or has been deleted.
        NotTrusted: the run names code of a model that may not run.
        StartError: the process ended at once.
    """
    living = directory.living()
    if living.server is not None:
        return None
    if not directory.path.exists():
        raise deleted_error(directory)
    if not directory.last.exists() and not directory.best.exists():
        train = advice.of_run("resume", directory.path)
        failed = summarize(directory).state == "failed"
        what = "has no checkpoint: it failed before its first" if failed else "has no checkpoint yet"
        raise RunError(f"run {directory.name!r} {what}", f"train it: {train}")
    try:
        return _start(directory, ["--serve"], living.read_only)
    except Forestalled:
        return None


def continue_training(
    directory: RunDirectory,
    more_epochs: int = 0,
    leave_core: bool = False,
    warm: WarmTrainer | None = None,
    lr_factor: float | None = None,
    tied: bool = False,
    devices: Devices | None = None,
    machines: Machines | None = None,
) -> None:
    """Continue a paused, stopped, finished or crashed run.

    `more_epochs` are added to those planned; a finished run needs some. Others as for `start_training`.

    Raises:
        RequestError, RunError, StartError: it cannot be continued; the message says why. ReadOnlyRun: it is another
            user's. NotTrusted: as for `start_training`.
    """
    deadline = time.monotonic() + ENDING_LIMIT
    while True:
        living = directory.living()
        if living.not_own:
            raise read_only_error(directory, living.not_own)
        try:
            if living.holder is not None:
                check_command(directory)
                if devices and living.holder.mode == "train" and devices != _devices(directory):
                    stop = advice.of_run("stop", directory.path)
                    what = f"run {directory.name!r} is being trained, and cannot change its devices meanwhile"
                    raise RunError(what, f"stop it first: {stop}")
                wanted = Resume(epochs=more_epochs, lr_factor=lr_factor, devices=devices)
                request(directory, wanted, Done)  # a process that only serves then trains
                return
            newest = summarize(directory)  # which says so where the run has been deleted
            check_resumable(directory)  # before more epochs are advised
            if newest.state == "finished" and not more_epochs and not _has_epochs_left(directory):
                raise finished_error(directory)
            check_data_of(directory)
            start_training(
                directory,
                more_epochs,
                leave_core,
                warm,
                lr_factor=lr_factor,
                tied=tied,
                devices=devices,
                machines=machines,
            )
            return
        except Forestalled:  # whoever was quicker gets the request
            if time.monotonic() > deadline:
                raise
        except NoProcess:
            if time.monotonic() > deadline or (living.holder is not None and living.holder.elsewhere):
                raise
        time.sleep(ENDING_PAUSE)


def _devices(directory: RunDirectory) -> Any:
    """How many devices the last checkpoint says that the run is trained on, or its config.toml."""
    try:
        return read_facts(directory.files.last)["config"].get("devices", 1)
    except (CheckpointError, KeyError, TypeError, AttributeError):
        return directory.read_config().devices


def _has_epochs_left(directory: RunDirectory) -> bool:
    """Whether the last checkpoint is of before the end that the log speaks of, as when a run has gone back."""
    try:
        facts = read_facts(directory.files.last)
        return bool(facts["evaluated"] < sum(facts["segments"]))
    except (CheckpointError, KeyError, TypeError):
        return False


def signal_trainer(directory: RunDirectory, number: signal.Signals) -> bool:
    """Send a signal to the run's process and return whether that was done.

    Nothing is sent where the process is not certainly this run's trainer: the lock of a run on a shared disk may be
    held on another machine, whose process id may be anybody's here. SIGTERM stops a run after a checkpoint.
    """
    pid = directory.process()
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def trainer_environment() -> dict[str, str]:
    """The environment of a trainer.

    OpenMP's threads wait for each other by spinning for some microseconds, then sleep: sleeping at once halves the
    speed of two threads on two free cores; spinning for long costs most of it where something else needs one of them.
    glibc keeps the memory of a step for the next one, instead of giving it back and having it zeroed again, and asks
    the kernel for pages of 2 MiB (https://docs.kernel.org/admin-guide/mm/transhuge.html): a step touches tens of
    MB, and finding thousands of small pages takes a fifth of it, in a virtual machine above all.
    """
    keep = {"MALLOC_MMAP_THRESHOLD_": str(OWN_MAPPING), "MALLOC_TRIM_THRESHOLD_": str(KEPT_FREE)}
    return {"GOMP_SPINCOUNT": str(SPINS), "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **keep, **os.environ}


def _start(
    directory: RunDirectory, options: list[str], read_only: bool = False, warm: WarmTrainer | None = None,
    under_way: Callable[[], object] = lambda: None,
) -> subprocess.Popen[bytes]:  # fmt: skip
    check_not_newer(directory)
    code = check_code(directory)
    if code is not None:  # the record of what is allowed may be where nothing can be written
        options = [*options, "--trust", code.digest]
    if read_only:
        options = [*options, "--read-only"]
    log_before, output = _size(directory.events), directory.serving_files(read_only).log
    try:
        # Only the newest process's words are kept where nobody would ever delete them.
        log = open_own(output, os.O_WRONLY | (os.O_TRUNC if read_only else os.O_APPEND))
    except OSError as error:
        raise StartError(f"run {directory.name!r} cannot be written: {reason(error)}") from None
    mark_start(log, _mode(options))
    arguments = [str(directory.path), *options]
    try:
        process = (warm.hand_over(arguments, log) if warm else None) or subprocess.Popen(  # noqa: S603  # this Python,
            [sys.executable, "-P", "-m", COMMAND, *arguments],  # our module; no shell reads the path
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=trainer_environment(),
        )  # fmt: skip
    except OSError as error:
        what = f"no process can be started for run {directory.name!r}: {error.strerror}"
        hint = NO_MORE_PROCESSES if error.errno == errno.EAGAIN else ""
        raise StartError(what, hint) from None
    finally:
        os.close(log)
    under_way()
    began = time.monotonic()
    while (waited := time.monotonic() - began) < START_LIMIT:
        holder = directory.living().server
        # It listens a moment after it takes the lock. Where it finds no place to listen, it trains without a socket.
        if holder is not None and holder.pid == process.pid and (holder.socket or waited > LISTEN_LIMIT):
            return process
        if process.poll() is not None:
            if process.returncode == 0:
                return process  # it has finished already
            if holder is not None and holder.pid != process.pid:
                wrong = already_living(directory, holder)
                raise Forestalled(wrong.message, wrong.hint)
            new_events = LogTail(directory.events, log_before).read_all()
            errors = [event for event in new_events if isinstance(event, ErrorEvent)]
            if errors:
                raise StartError(errors[-1].message, errors[-1].hint)
            raise StartError(_last_line(output, options) or "the trainer ended at once", f"see {output}")
        time.sleep(START_PAUSE)
    raise StartError(f"the trainer of run {directory.name!r} did not start", f"see {output}")


def _mode(options: Sequence[str]) -> Mode:
    return "serve" if "--serve" in options else "train"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _last_line(output: Path, options: Sequence[str]) -> str:
    lines = words_of_newest(read_output(output, MOST_LAST_LINE), _mode(options)).splitlines()
    return lines[-1] if lines else ""
