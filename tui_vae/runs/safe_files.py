"""Opening the files of a run directory, which may come from a stranger: never through a link, never what is no file.

A FIFO would keep a reader waiting for ever, a device may do anything when it is opened, and a link leads to files that
are not the run's. All that reads or appends to a file of a run opens it here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tui_vae.errors import UserError

WAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How every file is opened: a link is refused, a FIFO does not wait for its other end, a terminal controls nobody."""

KINDS = (
    (stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a link"), (stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"),
)  # fmt: skip


class UnsafeFile(OSError):
    """What stands in a file's place must not be opened, or not be written to; `strerror` says what it is."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(errno.EINVAL, f"it is {what}", str(path))


class TooLarge(OSError):
    """A file that is read whole has more bytes than any of its kind."""

    def __init__(self, limit: int, path: Path) -> None:
        super().__init__(errno.EFBIG, f"it has more than {limit:,} bytes", str(path))


def open_plain(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644, folder: int | None = None) -> int:
    """Open a plain file and give its descriptor. `folder`: the open directory that `path` is relative to.

    Raises:
        UnsafeFile: it is no plain file. FileNotFoundError, OSError: as `os.open`.
    """
    try:
        handle = os.open(path, flags | WAYS, mode, dir_fd=folder)
    except OSError as error:
        # Too many links (O_NOFOLLOW), a FIFO that nobody reads or a socket (ENXIO), a directory to write to.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR, errno.EOPNOTSUPP):
            facts = os.stat(path, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                raise _no_plain_file(facts, path) from None
        raise
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise _no_plain_file(facts, path)
    return handle


def _no_plain_file(facts: os.stat_result, path: Path) -> UnsafeFile:
    what = next((name for is_kind, name in KINDS if is_kind(facts.st_mode)), "something else")
    return UnsafeFile(f"{what}, not a plain file", path)


def open_to_read(path: Path, folder: int | None = None) -> BinaryIO:
    """
    Raises:
        UnsafeFile: it is no plain file. FileNotFoundError, OSError: it is missing, or may not be read.
    """
    return os.fdopen(open_plain(path, folder=folder), "rb")


def read_whole(path: Path, limit: int, folder: int | None = None) -> bytes:
    """The bytes of a file that has at most `limit` of them.

    Raises:
        UnsafeFile, TooLarge: it is no plain file, or a larger one. FileNotFoundError, OSError: it cannot be read.
    """
    with open_to_read(path, folder) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(limit, path)
    return data


def read_tail(path: Path, size: int) -> bytes:
    """The last `size` bytes of a file at most, from a whole line on; nothing of one that cannot be read."""
    try:
        with open_to_read(path) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            data = file.read(size)
    except OSError:
        return b""
    return data.partition(b"\n")[2] if end > size else data


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """A directory, not through a link, to open its files in.

    Raises:
        UnsafeFile: it is a link. OSError: it is missing, no directory, or may not be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        if path.is_symlink():
            raise UnsafeFile("a link, not a directory", path) from None
        raise
    try:
        yield handle
    finally:
        os.close(handle)


def open_own(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file to write to it, and make it where it is missing, before its first byte is written.

    Raises:
        UnsafeFile: it is no plain file, another user's, or has a second name somewhere (a hard link). OSError: it
            cannot be opened.
    """
    handle = open_plain(path, flags | os.O_CREAT, mode)
    try:
        facts = os.fstat(handle)
        if facts.st_nlink > 1:
            raise UnsafeFile("a hard link: the same file has another name", path)
        if not is_of_this_user(facts, path.parent):
            raise UnsafeFile(f"a file of another user ({facts.st_uid})", path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def make_own_folder(path: Path) -> None:
    """Make a folder that files will be written into, where it is not there yet.

    Raises:
        UnsafeFile: something else is in its place. OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        path.mkdir()
    check_own_folder(path)


def check_own_folder(path: Path) -> None:
    """
    Raises:
        UnsafeFile: files that are written into this folder would land elsewhere. OSError: it is missing.
    """
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        what = next((name for is_kind, name in KINDS if is_kind(facts.st_mode)), "a file")
        raise UnsafeFile(f"{what}, not a directory", path)


def why_no_folder(path: Path) -> str:
    """What stands in a folder's place: `previews: it is a FIFO, not a directory`. Empty where nothing else does."""
    try:
        check_own_folder(path)
    except UnsafeFile as error:
        return reason(error)
    except OSError:
        return ""  # there is none, or it is out of reach: whoever needs it says so
    return ""


def is_of_this_user(facts: os.stat_result, folder: Path) -> bool:
    """Whether a file in `folder`, or the folder, belongs to this user, by its facts.

    NFS and sshfs may have another number for the user: what they give to a new file tells, one without a name where
    there are such files.
    """
    if facts.st_uid == os.geteuid():
        return True
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    import tempfile  # most files are this user's by number

    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_uid == facts.st_uid
    except OSError:
        return False


def reason(error: OSError) -> str:
    """Which file could not be read, and why: `events.jsonl: it is a FIFO, not a plain file`."""
    name = Path(os.fsdecode(error.filename)).name if error.filename else "a file"
    return f"{name}: {error.strerror or type(error).__name__}"


def cannot(what: str, error: OSError, hint: str = "") -> UserError:
    """The error of a command that a file of a run has stopped: `cannot WHAT: FILE: WHY`."""
    return UserError(f"cannot {what}: {reason(error)}", hint)
