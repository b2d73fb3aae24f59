"""`tui-vae sweep`: a run for every combination of the given values; the same command continues an interrupted one."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_vae import config
from tui_vae.cli import INTERRUPTED
from tui_vae.cli.compare import as_json, print_comparison
from tui_vae.cli.train import POLL, catch_stop_signals, last_error, request_stop
from tui_vae.cli.train_reporters import warning_line
from tui_vae.config import RunConfig, option_name, text_of
from tui_vae.core.core_limits import usable_cores
from tui_vae.errors import UsageError, UserError
from tui_vae.runs import events as ev
from tui_vae.runs.comparison import candidate, differences
from tui_vae.runs.create import create_run, failed_early
from tui_vae.runs.device_load import cuda_devices
from tui_vae.runs.directory import HOLDER_PAUSE, RunDirectory
from tui_vae.runs.history import History
from tui_vae.runs.launch import continue_training, start_training
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import state_of

MOST = 1000
"""Combinations in one sweep: a slip of the keyboard must not start more."""

TURNING = 10.0
"""Seconds to wait until a process that served a run trains it."""

CHECKSUM_LENGTH = 8
"""Hexadecimal digits of the checksum in a run's name: no two of `MOST` names get the same by chance."""

FINISHED, ANEW = "finished already", "failed before its first step, trained anew"


def sweep(options: argparse.Namespace) -> int:
    """Train all combinations that are not finished, then compare them all.

    Raises:
        UsageError: an option or its value is wrong, or there are too many combinations.
        UserError: a file or a run that they need cannot be read.
    """
    given = {name.removeprefix("values_"): values for name, values in vars(options).items()
             if name.startswith("values_")}  # fmt: skip
    base = config.read_config(options.config) if options.config else {}
    combinations = plan(base, {name: list(dict.fromkeys(itertools.chain(*each))) for name, each in given.items()})
    runs_dir = runs_directory(options.runs_dir)
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UsageError(f"{runs_dir} is no directory", "name another --runs-dir")
    chosen = {*(name for name, value in base.items() if value not in (None, "auto")), *given}
    check_existing(runs_dir, combinations, chosen)
    count = cuda_devices() if "device" not in chosen else 0
    jobs = options.jobs or max(1, count)
    devices = [f"cuda:{index}" for index in range(count)] if count > 1 else []
    threads = max(1, usable_cores().cores // jobs) if jobs > 1 and not count and "threads" not in chosen else None
    report = sys.stderr if options.json else sys.stdout
    runner = Runner(runs_dir, combinations, devices, jobs, threads, lambda line: print(line, file=report, flush=True))
    code = runner.run()
    there = [RunDirectory(runs_dir / str(each.name)) for each in combinations]
    runs = [candidate(directory) for directory in there if directory.config.is_file()]
    if options.json:
        print(as_json(runs))
    elif len(runs) > 1:
        print()
        print_comparison(runs)
    return code


def plan(base: Mapping[str, Any], given: Mapping[str, Sequence[Any]]) -> list[RunConfig]:
    """A run's description for each combination of the values given, the first option varying slowest.

    Each is named from `--name` (or `sweep`) and the values in which it differs, so that the same command finds its runs
    again, and their common beginning finds them together.

    Raises:
        UsageError: a value out of place, several names, or too many combinations.
    """
    if len(given.get("name", ())) > 1:
        raise UsageError("a sweep has one name, with which those of its runs begin", "give --name once")
    prefix = str(next(iter(given.get("name", ())), base.get("name") or "sweep"))
    varied = {name: values for name, values in given.items() if len(values) > 1}
    if not varied:
        raise UsageError("there is nothing to sweep: no option has several values",
                         "give one some, such as --latent-dim 2,8,32")  # fmt: skip
    fixed = {**base, **{name: values[0] for name, values in given.items() if len(values) == 1}}
    count = 1
    for values in varied.values():
        count *= len(values)
    if count > MOST:
        raise UsageError(f"these are {count:,} combinations, a sweep has at most {MOST:,}", "vary fewer values at once")
    found = []
    for values in itertools.product(*varied.values()):
        settings = dict(zip(varied, values, strict=True))
        found.append(config.make_config({**fixed, **settings, "name": run_name(prefix, settings)}))
    if len({each.name for each in found}) < len(found):
        raise UsageError("two combinations would have the same name", "vary other values, or choose a shorter --name")
    return found


def run_name(prefix: str, settings: Mapping[str, Any]) -> str:
    """`sweep-latent-dim-2-beta-4`. Where that is no name of a run, or too long, the end of it is a checksum."""
    words = [f"{option_name(name)}-{text_of(name, value)}" for name, value in settings.items()]
    plain = "-".join([prefix, *(word.replace(",", "x") for word in words)])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", plain)
    if name == plain and len(name) <= config.MAX_NAME:
        return name
    ending = f"-{hashlib.sha256(plain.encode()).hexdigest()[:CHECKSUM_LENGTH]}"
    return name[: config.MAX_NAME - len(ending)] + ending


def check_existing(runs_dir: Path, combinations: Sequence[RunConfig], chosen: set[str]) -> None:
    """Check that the runs which a sweep would continue are its own. Device and threads count only where they are given.

    Raises:
        UsageError: a run has one of the names and has other options.
    """
    machine: dict[str, Any] = {"device": "auto", "threads": None}
    free = {name: value for name, value in machine.items() if name not in chosen}
    for wanted in combinations:
        directory = RunDirectory(runs_dir / str(wanted.name))
        if directory.config.is_file():
            found = replace(directory.read_config(), **free)
            for each in differences([found, replace(wanted, **free)]):
                raise UsageError(
                    f"there is a run {directory.name!r} already, with {each.name} {each.values[0]}, not "
                    f"{each.values[1]}", "choose another --name for this sweep",
                )  # fmt: skip


@dataclass
class Job:
    """One combination under way. `slot` is the device that it occupies, None where the trainer chooses one."""

    number: int
    directory: RunDirectory
    slot: str | None
    tail: ev.LogTail
    history: History
    begun_at: float
    told_to_stop: bool = False


class Runner:
    """Keeps up to `jobs` runs going until all have ended or a signal stops them."""

    def __init__(
        self, runs_dir: Path, combinations: Sequence[RunConfig], devices: Sequence[str], jobs: int,
        threads: int | None, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._runs_dir = runs_dir
        self._count = len(combinations)
        self._waiting = deque(enumerate(combinations, start=1))
        self._threads = threads
        self._slots: list[str | None] = [devices[at % len(devices)] if devices else None for at in range(jobs)]
        self._going: list[Job] = []
        self._incomplete = False
        self._print = say

    def run(self) -> int:
        """Run all and return the exit code: 0 all are finished, 1 some are not, 130 a signal came.

        Ctrl-C and SIGTERM stop the living runs after a checkpoint; a second one leaves them alone.
        """
        with catch_stop_signals() as signals:
            while self._going or (self._waiting and not signals):
                while self._waiting and self._slots and not signals:
                    self._begin(*self._waiting.popleft())
                for job in list(self._going):
                    self._look_at(job)
                    if signals and not job.told_to_stop:
                        job.told_to_stop = True
                        request_stop(job.directory)
                if len(signals) > 1 and self._going:
                    names = ", ".join(job.directory.name for job in self._going)
                    self._print(f"left before these had stopped: {names}")
                    return INTERRUPTED
                time.sleep(POLL)
            if signals:
                self._print("stopped; the same command goes on with this sweep")
                return INTERRUPTED
        return 1 if self._incomplete else 0

    def _begin(self, number: int, wanted: RunConfig) -> None:
        """Start, continue or follow a combination's run; skip a finished one."""
        directory = RunDirectory(self._runs_dir / str(wanted.name))
        slot = self._take_slot(directory)
        tail, history, begun = ev.LogTail(directory.events), History(), time.time()
        try:
            history.extend(tail.read_all())
            what = self._start_or_continue(directory, replace(wanted, device=slot or wanted.device), history)
        except UserError as error:
            self._slots.append(slot)
            self._fail(number, directory, error)
            return
        self._say(number, directory, what)
        if what == FINISHED:
            self._slots.append(slot)
        else:
            if what == ANEW:
                tail, history = ev.LogTail(directory.events), History()
            self._going.append(Job(number, directory, slot, tail, history, begun))

    def _take_slot(self, directory: RunDirectory) -> str | None:
        """A free device: the one that the run was on, if it has been on one, because it continues there."""
        device = directory.read_config().device if directory.config.is_file() else None
        return self._slots.pop(self._slots.index(device) if device in self._slots else 0)

    def _start_or_continue(self, directory: RunDirectory, wanted: RunConfig, history: History) -> str:
        """Start or continue a combination's run, unless it is finished or being trained; say which it was.

        Raises:
            UserError: it cannot be started.
        """
        if not directory.config.is_file():
            create_run(self._runs_dir, replace(wanted, threads=wanted.threads or self._threads))
            start_training(directory)
            return "training"
        state = state_of(directory, history.state)
        if state == "finished":
            return FINISHED
        if state in ("loading", "training"):
            return "is being trained already"
        if failed_early(directory):
            create_run(self._runs_dir, directory.read_config())
            start_training(directory)
            return ANEW
        continue_training(directory)
        deadline = time.monotonic() + TURNING
        while (holder := directory.holder()) and holder.mode == "serve" and time.monotonic() < deadline:
            time.sleep(HOLDER_PAUSE)  # a process that served the run begins to train it a moment after its answer
        return f"was {state}, goes on"

    def _look_at(self, job: Job) -> None:
        """Read the new events of a run; when its process has gone, report how it ended and free its slot."""
        alive = job.directory.is_training()
        for event in job.tail.read_all():
            job.history.apply(event)
            if isinstance(event, ev.WarningEvent):
                self._say(job.number, job.directory, warning_line(event))
        if alive:
            return
        self._going.remove(job)
        self._slots.append(job.slot)
        state, best = state_of(job.directory, job.history.state), job.history.best
        if state == "failed":
            self._fail(job.number, job.directory, last_error(job.directory, job.history))
            return
        self._incomplete |= state != "finished"
        figures = ""
        if best is not None and best.test.mse is not None and best.test.elbo_bpd is not None:
            figures = f"  mse {best.test.mse:.5f}  {best.test.elbo_bpd:.3f} bits at epoch {best.epoch}"
        self._say(job.number, job.directory, f"{state}{figures}  in {time.time() - job.begun_at:.0f} s")

    def _fail(self, number: int, directory: RunDirectory, error: UserError) -> None:
        self._incomplete = True
        self._say(number, directory, f"failed: {error}")

    def _say(self, number: int, directory: RunDirectory, what: str) -> None:
        self._print(f"{number:>{len(str(self._count))}}/{self._count} {directory.name}: {what}")
