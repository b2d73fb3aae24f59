"""Reading files that somebody named: only regular ones, never more than memory has room for, gzip known by its bytes.

A run from a stranger may name any file as its data. A pipe would make a reader wait, a device has no end, and a small
compressed file may have a large content.
"""

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from tui_vae.core.data.published import DatasetError
from tui_vae.main_memory import free_main_memory

PART = 1 << 20
"""Bytes of a file that are read at once."""

HEAD = 512
"""Bytes of a file's beginning that tell what it is."""

GZIP = b"\x1f\x8b"
"""The first bytes of what gzip has packed."""

MOST_DEFLATED = 1032
"""How many times its length a deflated stream can have unpacked: its format allows no more."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file, open for reading; its errors while it is open are told as its own.

    Raises:
        DatasetError: it cannot be read, or is a pipe, a device or a folder, or empty, as what the system makes up as it
            is read.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # no wait for a pipe
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise DatasetError(f"{path} is no file but {_kind(facts.st_mode)}")
            if facts.st_size == 0:
                raise DatasetError(f"{path} is empty")
            yield file
    except OSError as error:
        raise unreadable(path, error) from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def size_of_file(file: BinaryIO) -> int:
    """Bytes of a file that is open."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The contents of a file, unpacked while they are read if gzip has packed them, whatever its name is.

    Raises:
        DatasetError: as `opened`, or its packed data are damaged.
    """
    with opened(path) as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as inner:
                yield cast(BinaryIO, inner)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DatasetError(f"{path} is damaged: {error}") from error


def head_of(path: Path) -> bytes:
    """The first bytes of a file's contents, at most `HEAD`.

    Raises:
        DatasetError: as `unpacked`.
    """
    with unpacked(path) as file:
        return file.read(HEAD)


def is_packed(path: Path) -> bool:
    """Whether gzip has packed a file.

    Raises:
        DatasetError: as `opened`.
    """
    with opened(path) as file:
        return file.read(len(GZIP)) == GZIP


def read_file(path: Path) -> bytearray:
    """A file's contents, unpacked. The packed data are never in memory as a whole.

    Raises:
        DatasetError: as `unpacked`, or memory has no room for it.
    """
    contents, room = bytearray(), free_main_memory()
    with unpacked(path) as file:
        if not isinstance(file, gzip.GzipFile):
            check_room(path, size_of_file(file), room)
        while part := file.read(PART):
            contents += part
            if len(contents) > room:
                raise too_large(path, len(contents), room)
    return contents


def read_exactly(file: BinaryIO, size: int, path: Path) -> bytearray:
    """So many bytes, or what there is of them; memory for them is taken as they come, if they are packed.

    Raises:
        DatasetError: memory has no room for them.
    """
    room = free_main_memory()
    check_room(path, size, room)
    contents = bytearray()
    while len(contents) < size and (part := file.read(min(PART, size - len(contents)))):
        contents += part
    return contents


def check_room(path: Path, size: int, room: int) -> None:
    """
    Raises:
        DatasetError: memory has no room for so many bytes.
    """
    if size > room:
        raise too_large(path, size, room)


def too_large(path: Path, size: int, room: int) -> DatasetError:
    return DatasetError(f"{path} has {size / 2**30:,.1f} GiB or more, and {room / 2**30:,.1f} GiB of memory are free")


def unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path} cannot be read: {error.strerror or error}")


WEB_PAGE = (b"<!doctype", b"<html", b"<head")

KNOWN = (
    (GZIP, "packed by gzip once more", "unpack it: gunzip"),
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8"),
    (b"PK\x03\x04", "a zip archive", "unpack it, and name the folder"),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"%PDF", "a PDF document", ""),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write its arrays with numpy.savez"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch it: git lfs pull"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\xfd7zXZ\x00", "packed by xz", "unpack it: xz -d"),
    (b"BZh", "packed by bzip2", "unpack it: bunzip2"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it: zstd -d"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", "write its arrays with numpy.savez"),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"\x80\x02", "a pickle, which may run code as it is read", "write its arrays with numpy.savez"),
    (b"\x80\x03", "a pickle, which may run code as it is read", "write its arrays with numpy.savez"),
    (b"\x80\x04", "a pickle, which may run code as it is read", "write its arrays with numpy.savez"),
    (b"\x80\x05", "a pickle, which may run code as it is read", "write its arrays with numpy.savez"),
    (b"ARROW1", "an Arrow file", "write it as parquet"),
    (b"\xff\xff\xff\xff", "an Arrow stream", "write it as parquet: Dataset.to_parquet"),
    (b"\x7fELF", "a program", ""),
)
"""First bytes of files that hold no images which can be read → what such a file is, and what to do."""


def is_json(head: bytes) -> bool:
    """Whether a file that begins so is JSON: an object, or a list."""
    return re.match(rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[{\"\d-])", head) is not None


def what_it_is(head: bytes) -> tuple[str, str]:
    """What a file is that holds no images, by its first bytes, and what to do; both empty where nobody knows."""
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(WEB_PAGE):
        return "a web page, not data", "fetch the file itself: a link to it often leads to a page about it"
    if b"<svg" in head[:HEAD] and head.lstrip().startswith(b"<"):
        return "a vector graphic", "draw it as a PNG"
    if head.lstrip().startswith(b"<?xml"):
        return "XML, not data", "fetch the file itself: a link to it often leads to a page about it"
    if is_json(head):
        return "JSON, which is not read", "write its images and labels with numpy.savez"
    if head[4:8] == b"ftyp":
        brand = head[8:12].decode("ascii", "replace")
        return f"a picture or video of the kind {brand}, which is not read", "turn it into a PNG or JPEG"
    for begin, what, to_do in KNOWN:
        if head.startswith(begin):
            return what, to_do
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it, and name the folder"
    return "", ""
