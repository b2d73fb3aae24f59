"""Real commands and real runs: processes in sessions of their own, ended by their own ids."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import AnyEvent, LogTail

SMALL = (
    "--device", "cpu", "--threads", "1", "--precision", "float32", "--train-limit", "2000", "--test-limit", "500",
    "--hidden", "48", "--latent-dim", "8", "--batch-size", "96",
)  # fmt: skip


def end_processes(runs_dir: Path) -> None:
    for directory in list_runs(runs_dir):
        kill_trainer(directory)
    for process in psutil.process_iter(["cmdline"]):  # one that a killed command has started holds no lock at first
        words = process.info["cmdline"] or []
        if "tui_vae.trainer" in words and any(word.startswith(f"{runs_dir}/") for word in words):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def kill_trainer(directory: RunDirectory) -> None:
    """`kill -9` of the run's process, if it has one here, and of one that only looks at it."""

    def here() -> set[int]:
        holders = (each for each in (directory.holder(), directory.living().server) if each and not each.elsewhere)
        return {each.pid for each in holders} - {0, os.getpid()}

    for pid in here():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not here())


def wait_until(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """What `condition` returns as soon as that is true."""
    start = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - start
        assert waited < timeout, "it did not happen in time"
        time.sleep(min(0.2, 0.01 + waited / 20))
    return value


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`tui-vae ARGUMENTS` in a process and a session of its own, its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_vae", *map(str, arguments)],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
           "start_new_session": True, **options},
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = 90.0) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process, once it has ended."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def events(directory: RunDirectory, *kinds: type[AnyEvent]) -> list[Any]:
    """The events of these kinds, or all, that the run's log holds now."""
    return [event for event in LogTail(directory.events).read_all() if not kinds or isinstance(event, kinds)]


@dataclass(frozen=True)
class Trained:
    """A run that `tui-vae train --json` has finished, and what that printed."""

    directory: RunDirectory
    stdout: str
    stderr: str

    @property
    def runs_dir(self) -> str:
        return str(self.directory.path.parent)
