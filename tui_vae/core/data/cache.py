"""Decoded images in the user's cache: pictures are decoded once, and a set larger than memory is mapped from there.

An entry is a folder of NPY files and `about.json`, made beside its place and renamed, so that it is whole or not there.
It counts for one version of the files that it was made from (their sizes and times).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_vae.config.data_places import cache_home
from tui_vae.core.data.file_lock import locked
from tui_vae.core.data.published import DatasetError

FORMAT = 3
"""The version of what entries hold; those of other versions are made anew."""

ABOUT = "about.json"

HEADER = 128
"""Bytes of an NPY file's header: one length for every number of images, so that it can be written last."""

MOST_ABOUT = 64 << 20
"""Bytes of `about.json` that are read."""

WHERE = "set TUI_VAE_CACHE to a folder with more room"


@dataclass
class Entry:
    """What the cache holds of a data set: its arrays by name, mapped, and facts in plain values."""

    arrays: dict[str, NDArray[Any]]
    about: dict[str, Any]


class Key:
    """Names an entry: what was asked for, and the version of the files it is made from."""

    def __init__(self, asked: object, versions: object) -> None:
        self.asked = _digest(asked)
        self.version = _digest(versions)

    @property
    def folder(self) -> Path:
        return home() / self.asked / self.version


def _digest(value: object) -> str:
    return hashlib.sha1(repr((FORMAT, value)).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def home() -> Path:
    """The folder of all entries."""
    return cache_home() / "decoded"


def find(key: Key) -> Entry | None:
    """The entry, if it is there and whole."""
    try:
        with open(key.folder / ABOUT, "rb") as file:
            about = json.loads(file.read(MOST_ABOUT))
        if about.get("format") != FORMAT:
            return None
        # Copy-on-write, as PyTorch wants arrays that may be written to; the file stays as it is.
        arrays = {name: np.load(key.folder / f"{name}.npy", "c", allow_pickle=False) for name in about["arrays"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    return Entry(arrays, about)


class Writer:
    """Writes the arrays of an entry, in parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shapes: dict[str, tuple[int, ...]] = {}

    def append(self, name: str, rows: NDArray[Any]) -> None:
        """Add rows to the array of this name, all of one shape and type.

        Raises:
            OSError: they cannot be written.
        """
        shape = self._shapes.get(name)
        with open(self._folder / f"{name}.npy", "ab" if shape else "wb") as file:
            if shape is None:
                file.write(bytes(HEADER))
            file.write(np.ascontiguousarray(rows).data if rows.size else b"")
        count = (shape[0] if shape else 0) + len(rows)
        self._shapes[name] = (count, *rows.shape[1:])
        self._kinds = {**getattr(self, "_kinds", {}), name: rows.dtype}

    def finish(self, about: dict[str, Any]) -> None:
        """Write the headers and the facts.

        Raises:
            OSError: they cannot be written.
        """
        for name, shape in self._shapes.items():
            with open(self._folder / f"{name}.npy", "r+b") as file:
                file.write(_header(self._kinds[name], shape))
                os.fsync(file.fileno())
        with open(self._folder / ABOUT, "w", encoding="utf-8") as file:
            json.dump({**about, "format": FORMAT, "arrays": list(self._shapes)}, file)
            file.flush()
            os.fsync(file.fileno())


def _header(kind: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of an NPY file of format 1.0, padded to `HEADER` bytes."""
    words = repr({"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\0" + struct.pack("<H", HEADER - 10) + words.ljust(HEADER - 11).encode() + b"\n"


def make(key: Key, size: int, fill: Callable[[Writer], dict[str, Any]], progress: Callable[[str], None]) -> Entry:
    """The entry, made by `fill`, which writes its arrays and returns its facts; by another process where one does it.

    `size`: bytes that it will need, about. Entries of other versions of the same files are deleted.

    Raises:
        DatasetError: the cache cannot be written, or has no room.
    """
    place = key.folder.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with locked(place.with_name(f".{place.name}.lock"), lambda: progress("waiting for another process")):
            if entry := find(key):
                return entry
            for other in place.iterdir():  # of an older version, or left by a process that was killed
                shutil.rmtree(other, ignore_errors=True)
            free = free_space(place)
            if size > free:
                what = (
                    f"decoded, the images have {size / 2**30:,.1f} GiB, and {home()} has {free / 2**30:,.1f} GiB free"
                )
                raise DatasetError(what, WHERE)
            fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=place))
            try:
                writer = Writer(fresh)
                writer.finish(fill(writer))
                os.rename(fresh, key.folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise DatasetError(f"decoded images cannot be saved in {home()}: {error.strerror or error}", WHERE) from error
    entry = find(key)
    if entry is None:
        raise DatasetError(f"{key.folder} was emptied right after it was made", WHERE)
    return entry


def free_space(place: Path) -> int:
    """Bytes that are free on the disk of a folder."""
    return shutil.disk_usage(place).free
