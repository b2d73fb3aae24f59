"""The lock of a run: whoever holds it is its one living process."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from tui_vae.runs.directory import RunDirectory, RunError, already_living
from tui_vae.runs.file_locks import MISSING, WHAT_TO_DO
from tui_vae.runs.holder import HOLDER_LENGTH, MOST_HOST, MOST_TROUBLE, Holder, Mode, read_claim
from tui_vae.runs.processes import boot_id, host_name
from tui_vae.runs.safe_files import open_own, open_plain
from tui_vae.runs.write_errors import unwritable

LOCK_TRIES, LOCK_PAUSE = 50, 0.01
"""Tries, and seconds between them: readers take a shared lock briefly, so that one failure is not conclusive."""


WATCHED_FOR, WATCH_PAUSE = 12.0, 0.5
"""Seconds for which the claim of another host is watched before it is taken for that of a process which has died
without a farewell; longer than two of its beats. And between two looks."""


class RunLock:
    """The lock of a run, held by its one living process until that process ends.

    Raises:
        RunError: another process holds it.
        Unwritable, OSError: its file cannot be written.
    """

    def __init__(self, directory: RunDirectory, mode: Mode, read_only: bool = False) -> None:
        """`read_only`: this user may only look at the run; the lock lies in their runtime directory."""
        self._holder = Holder(pid=os.getpid(), mode=mode, host=host_name()[:MOST_HOST], boot=boot_id())
        self._directory = directory
        self._read_only = read_only
        self._writing = threading.Lock()
        self._lost = False
        """Whether a process on another host has taken the run."""
        self._file = self._take()
        try:
            self._announce()
        except OSError as error:
            self.release()
            raise unwritable("the lock", error, self._path.parent) from None

    @property
    def _path(self) -> Path:
        return self._directory.serving_files(True).lock if self._read_only else self._directory.files.lock

    def descriptor(self) -> int:
        """The locked file, which another process may keep open as well: the lock then lives until both have ended."""
        return self._file

    def in_place(self) -> bool:
        """Whether the lock that is held is still that of the run's directory.

        Raises:
            OSError: that cannot be told now.
        """
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def renew(self) -> None:
        """Take the lock of the run's directory again, as its file has been deleted.

        Raises:
            RunError: another process was quicker.
        """
        fresh = self._take()
        with self._writing:
            os.close(self._file)
            self._file = fresh
        self._announce()

    def change_mode(self, mode: Mode) -> None:
        """Announce that this process trains now, or only serves."""
        self._announce(mode=mode)

    def beat(self) -> Holder | None:
        """Show other hosts that this process lives, and give the process on another host that has taken the run.

        The file is opened anew: of an open one, a network file system shows what it has read before.

        Raises:
            OSError: the file is not there, or cannot be written now.
        """
        file = open_plain(self._path, os.O_RDWR)
        try:
            if not os.path.samestat(os.fstat(file), os.fstat(self._file)):
                return None
            other = read_claim(file)
            if other is not None and other.elsewhere:
                self._lost = True
                return other
            self._announce(file, beat=self._holder.beat + 1)
        finally:
            os.close(file)
        return None

    def say_farewell(self) -> None:
        """Tell other hosts that this process ends: they need not wait for its beats."""
        if not self._lost:
            with suppress(OSError):
                self._announce(host="", boot="")

    def announce_trouble(self, trouble: str) -> None:
        """Announce why training waits; empty once it does not. The lock's bytes are there already, so a full disk
        takes them, unlike the log's."""
        with suppress(OSError):
            self._announce(trouble=trouble[:MOST_TROUBLE])

    def listens_at(self, socket: Path) -> None:
        """Announce the socket: under sudo or cron, clients may have another runtime directory than this process."""
        self._announce(socket=str(socket))

    def _announce(self, file: int | None = None, **changes: str | int) -> None:
        with self._writing:
            self._holder = msgspec.structs.replace(self._holder, **changes)
            # One write of one length, so that a reader never sees half of it.
            os.pwrite(self._file if file is None else file, msgspec.json.encode(self._holder).ljust(HOLDER_LENGTH), 0)

    def _take(self) -> int:
        """Lock the run's lock file and return its descriptor.

        Raises:
            RunError: another process holds it. OSError: it cannot be made.
        """
        # Private: whoever can open the file can also lock it, and so keep its owner from training.
        file = open_own(self._path, os.O_RDWR, 0o600)
        if os.fstat(file).st_uid == os.getuid():
            os.fchmod(file, 0o600)  # an older version left it open to all
        for attempt in range(LOCK_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == LOCK_TRIES - 1:
                    os.close(file)
                    raise already_living(self._directory) from None
                time.sleep(LOCK_PAUSE)
            except OSError as error:
                os.close(file)
                if error.errno not in MISSING:
                    raise
                what = "its disk has no file locks (flock), which keep two processes from training one run"
                raise RunError(f"run {self._directory.name!r} cannot be trained: {what}", WHAT_TO_DO) from None
        try:
            self._watch_claim(file)
        except BaseException:
            os.close(file)
            raise
        return file

    def _watch_claim(self, file: int) -> None:
        """See that no process on another host lives, where the file system keeps a lock to its host.

        Raises:
            RunError: one does. OSError: the file cannot be read.
        """
        claim = first = read_claim(file)
        if first is None or not first.elsewhere or _died_with_an_earlier_boot(first, file):
            return
        deadline = time.monotonic() + WATCHED_FOR
        while time.monotonic() < deadline and claim is not None and claim.elsewhere:
            time.sleep(WATCH_PAUSE)
            fresh = open_plain(self._path)
            try:
                claim = read_claim(fresh)
            finally:
                os.close(fresh)
            if claim is not None and claim.elsewhere and claim != first:
                raise already_living(self._directory, claim)

    def release(self) -> None:
        self.say_farewell()
        os.close(self._file)


def _died_with_an_earlier_boot(claim: Holder, file: int) -> bool:
    """Whether a claim is of this very host, before it was started anew."""
    import psutil

    return claim.host == host_name()[:MOST_HOST] and os.fstat(file).st_mtime < psutil.boot_time()
