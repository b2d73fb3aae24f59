"""A sweep in the background: its own session, its output in a file; and the lock that says whether one is going."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.runs import advice
from tui_vae.runs.launch import START_LIMIT, StartError
from tui_vae.runs.logout import told_once
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.runs.safe_files import cannot, open_own, read_tail

MOST_OUTPUT = 4096
"""Bytes at the end of a background sweep's output in which the reason is looked for why it has ended at once."""


class SweepIsGoing(UserError):
    """The same sweep is going already, in another terminal or in the background."""


def output_file(runs_dir: Path, name: str) -> Path:
    """Where a sweep in the background writes to. The name begins with a dot, so it cannot be that of a run."""
    return runs_dir / f".sweep-{name}.log"


class SweepLock:
    """Held by the one process that starts a sweep's runs, until it ends; it lies in the user's runtime directory.

    Two would start every run twice, and train twice as many side by side as this machine gains from.
    """

    def __init__(self, runs_dir: Path, name: str) -> None:
        """
        Raises:
            UserError: there is no place for it. OSError: it cannot be opened.
        """
        key = f"{os.path.realpath(runs_dir)}:sweep:{name}"
        self._runs_dir, self._name = runs_dir, name
        path = runtime_directory() / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.lock"
        self._file = open_own(path, os.O_RDWR, 0o600)

    def take(self) -> None:
        """
        Raises:
            SweepIsGoing: another process holds it.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self.holder()
            file = output_file(self._runs_dir, self._name)
            follow = f"follow it: tail -f {advice.quoted(str(file))}, or " if file.exists() else ""
            stop = f"stop it after checkpoints: kill {pid}; " if pid else ""
            raise SweepIsGoing(
                f"a sweep {self._name!r} is going already" + (f" (process {pid})" if pid else ""),
                f"{follow}{stop}another one needs another --name",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def holder(self) -> int | None:
        """The process that says it holds the lock, or held it last."""
        written = os.pread(self._file, 20, 0)
        return int(written) if written.isdigit() else None

    def give_back(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)


def detach(runs_dir: Path, name: str, words: Sequence[str], count: int) -> None:
    """Start the same command in the background, and say how to follow and stop it.

    Raises:
        SweepIsGoing: it is going already. StartError: it ended at once. UserError: its output cannot be written.
    """
    lock, output = SweepLock(runs_dir, name), output_file(runs_dir, name)
    lock.take()
    lock.give_back()
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        file = open_own(output, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        raise cannot("write the output of the sweep", error, "choose another --runs-dir") from None
    command = attached(words)
    os.write(file, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {advice.again(command)}\n".encode())
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a program that is started inherits
    try:
        process = subprocess.Popen(  # noqa: S603  # this Python, our module, the words that the user gave it
            [sys.executable, "-P", "-m", "tui_vae", *command],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(file)
    _wait_until_going(process, lock, output)
    place = advice.quoted(str(output))
    print(f"{name}: {count} runs in the background, process {process.pid}")
    print(f"follow it:                  tail -f {place}")
    print(f"see its runs:               {advice.command('ls', runs_dir)}")
    print(f"stop it after checkpoints:  kill {process.pid}")
    print(f"go on with it after that:   {advice.again(words)}")
    if why := told_once():
        print(f"tui-vae: {why}", file=sys.stderr)


def attached(words: Sequence[str]) -> list[str]:
    """The words of a command without `--detach`, which may be shortened as every option may."""
    return [word for word in words if not ("--detach".startswith(word) and len(word) > len("--de"))]


def _wait_until_going(process: subprocess.Popen[bytes], lock: SweepLock, output: Path) -> None:
    """
    Raises:
        StartError: it ended before it took the lock of its sweep; the message is its own.
    """
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and lock.holder() != process.pid:
        if process.poll():
            lines = read_tail(output, MOST_OUTPUT).decode(errors="replace").strip().splitlines()
            last = lines[-1].removeprefix("tui-vae: ") if lines else "the sweep ended at once"
            raise StartError(last, f"see {output}")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    lock.close()
