"""A run's directory held open: its files stay reachable after a rename, and another in its place is never opened."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from tui_vae.runs.directory import RunDirectory, deleted_error

DELETED = " (deleted)"
"""What Linux appends to the path of a descriptor whose directory has been deleted."""


class OpenRunDirectory(RunDirectory):
    """Identifies a run by its open directory: `files` leads there through a descriptor, also after a rename.

    `path` is where the directory is now. Without /proc (on macOS) `files` goes by that path.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            RunError: it is not there. OSError: it cannot be read.
        """
        object.__setattr__(self, "_opened_as", path)
        try:
            object.__setattr__(self, "_descriptor", os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except (FileNotFoundError, NotADirectoryError):
            raise deleted_error(RunDirectory(path)) from None
        object.__setattr__(self, "_facts", os.fstat(self._descriptor))

    _opened_as: Path
    _descriptor: int
    _facts: os.stat_result

    @property
    def path(self) -> Path:
        if not self._is_at(self._opened_as):
            place = self._place()
            return Path(place.removesuffix(DELETED)) if place else self._opened_as
        return self._opened_as

    @property
    def files(self) -> RunDirectory:
        anchor = Path(f"/proc/self/fd/{self._descriptor}")
        return RunDirectory(anchor if anchor.is_symlink() else self.path)

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the directory, which a new name does not change."""
        return self._facts.st_dev, self._facts.st_ino

    def is_gone(self) -> bool:
        """Whether the directory has been deleted. An error of the disk, as of an unplugged one, does not say so."""
        try:
            if os.fstat(self._descriptor).st_nlink == 0:
                return True
        except OSError as error:  # deleted by another host, or out of reach for now
            return error.errno == errno.ESTALE and not self._is_at(self._opened_as)
        place = self._place()
        return place is not None and place.endswith(DELETED)

    def close(self) -> None:
        """Close the directory; its files cannot be reached from then on."""
        os.close(self._descriptor)

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.stat(path), self._facts)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # nobody can tell now

    def _place(self) -> str | None:
        """Where the system says that the directory is; None where it does not say."""
        with suppress(OSError):
            return os.readlink(f"/proc/self/fd/{self._descriptor}")
        if hasattr(fcntl, "F_GETPATH"):
            with suppress(OSError):
                return os.fsdecode(fcntl.fcntl(self._descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        return None
