"""Files that were read before a run asks for them. They count as long as they are the same on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FileRead(NamedTuple):
    """A file as it was read.

    version: what tells it from its other versions. digest: its size and MD5. contents: decompressed, in numpy's memory,
    where images stay: see `mapped.in_large_pages`.
    """

    version: tuple[int, ...]
    digest: tuple[int, str]
    contents: NDArray[np.uint8]


_files: dict[Path, FileRead] = {}


def version_of(path: Path) -> tuple[int, ...]:
    """
    Raises:
        OSError: there is no such file, or it cannot be looked at.
    """
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def keep(path: Path, file: FileRead) -> None:
    _files[path] = file


def kept(path: Path) -> FileRead | None:
    """The file, if it was read and has not changed since."""
    file = _files.get(path)
    if file is None:
        return None
    try:
        return file if file.version == version_of(path) else None
    except OSError:
        return None


def forget(path: Path | None = None) -> None:
    """Free the memory of one file, whose contents somebody has taken, or of all."""
    if path is None:
        _files.clear()
    else:
        _files.pop(path, None)
