"""Writing files so that a reader, or a crash, finds them whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tui_vae.runs.safe_files import open_to_read

CHUNK = 1 << 20
"""Bytes that are copied at once: a checkpoint may have gigabytes."""


def write_atomic(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """Replace `path` by `data` so that a reader, or a crash at any moment, sees the old file or the new one whole.

    `data`: all of it, or its pieces one after the other.

    Raises:
        OSError: the folder cannot be written, or the disk is full; the old file is then untouched.
    """
    import tempfile  # quick commands write nothing

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # such as of a disk that has become read-only: `sweep` removes it another time
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give the file `source` the name `target` as well, atomically; where the file system has no hard links, copy it.

    Only for files that are replaced and never changed. `sync_directory` makes the new name survive a power cut.

    Raises:
        UnsafeFile: the file system has no hard links, and `source` is no plain file.
        OSError: the folder cannot be written, or the disk is full; what `target` was before is untouched.
    """
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        os.link(source, temporary, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        with open_to_read(source) as file:
            write_atomic(target, iter(partial(file.read, CHUNK), b""))
        return
    try:
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # two names of one file: the rename has changed nothing


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed writers from a folder where nobody else writes now."""
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make the names in a directory, a rename among them, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
