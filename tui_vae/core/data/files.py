"""The four idx files of a dataset in a directory: finding them, verifying them, parsing them."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import platformdirs

from tui_vae.core.data import read_ahead
from tui_vae.core.data.published import DatasetError, DatasetInfo, PublishedFile

HINTS = {
    "data-dir": "put the four idx files there (.gz or not, or as FashionMNIST/raw), or train without --data-dir",
    "cache": "delete the file, or fetch it again: tui-vae data --download fashion-mnist",
    "system": "reinstall the package that it came with",
    "download": "check the network, or set TUI_VAE_MIRROR to another mirror, or name a copy with --data-dir",
    "sample": "reinstall tui-vae",
}

BYTES, FLOATS = "u1", ">f4"
"""The element types of idx files, as numpy names them: unsigned bytes, and big-endian floats of 4 bytes."""

ELEMENTS = {0x08: (BYTES, 1), 0x0D: (FLOATS, 4)}
"""The type code in an idx header → the element type and its size in bytes."""

PART = 1 << 20
"""Bytes of a file that are read at once."""

SIDES = range(28, 65)
"""The heights and widths that an image may have, in pixels."""


@dataclass(frozen=True)
class Source:
    """One place where a dataset was found."""

    dataset: str
    kind: str  # "data-dir", "cache", "system", "download" or "sample"
    path: Path  # the directory of the four files
    train: int  # number of training images
    test: int  # number of test images
    reason: str = ""  # of the sample: why nothing better was found
    problem: str = ""  # what is wrong with this place, which makes it unusable
    published: bool = True  # whether the files are the published ones

    @property
    def description(self) -> str:
        """The place in a few words, for the user."""
        match self.kind:
            case "sample":
                return f"bundled sample of {self.train:,} + {self.test:,} images"
            case "data-dir":
                return f"{self.path}" if self.published else f"{self.path} (not the published FashionMNIST files)"
            case "system":
                return f"system copy ({self.path})"
            case "download":
                return f"downloaded to {self.path}"
            case _:
                return f"{self.kind} ({self.path})"


def place(info: DatasetInfo, kind: str) -> Path:
    """The directory of a kind of source; not for `data-dir`, which the user names."""
    match kind:
        case "cache" | "download":
            return cache_home() / info.name
        case "system":
            return Path(os.environ.get("TUI_VAE_SYSTEM_DATA") or f"/usr/share/datasets/{info.name}").expanduser()
        case _:
            return Path(__file__).with_name("sample")


def cache_home() -> Path:
    """The directory that downloads go to."""
    return Path(os.environ.get("TUI_VAE_CACHE") or platformdirs.user_cache_dir("tui-vae")).expanduser()


def locate(info: DatasetInfo, directory: Path) -> dict[str, Path]:
    """Role → file, in the directory or in torchvision's layout below it, whichever has more; .gz goes before plain."""
    layouts = (directory, directory / info.title / "raw")
    return max((_files_in(info, layout) for layout in layouts), key=len)


def _files_in(info: DatasetInfo, directory: Path) -> dict[str, Path]:
    found = {}
    for role, file in info.files.items():
        for path in (directory / f"{file.name}.gz", directory / file.name):
            if os.path.isfile(path):  # unlike Path.is_file, False where the directory may not be entered
                found[role] = path
                break
    return found


def read_file(path: Path) -> bytearray:
    """A file's contents, decompressed if its name ends in .gz. The compressed data are never in memory as a whole.

    Raises:
        DatasetError: it cannot be read, its compressed data are damaged, or memory has no room for it.
    """
    if (file_read := read_ahead.kept(path)) is not None:
        read_ahead.forget(path)  # the reader may change what it gets
        return file_read.contents
    contents, room = bytearray(), _check_size(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            while part := file.read(PART):
                contents += part
                if len(contents) > room:
                    raise _too_large(path, len(contents), room)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    return contents


def read_file_ahead(path: Path) -> None:
    """Read a file whose digest and contents will be asked for soon.

    Raises:
        DatasetError, OSError: as of `read_file`; then it will be read when it is asked for.
    """
    version = read_ahead.version_of(path)
    read_ahead.keep(path, read_ahead.FileRead(version, _digest(path), read_file(path)))


def parse_idx(data: bytes | bytearray, path: Path) -> tuple[tuple[int, ...], str, memoryview]:
    """The shape, the element type (`BYTES` or `FLOATS`) and the elements of an idx file; `path` names it in errors.

    Raises:
        DatasetError: the header is not that of such a file, or does not fit the length.
    """
    rank = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * rank
    if data[:2] != b"\0\0" or rank == 0 or len(data) < start or data[2] not in ELEMENTS:
        found = data[:4].hex(" ")
        raise DatasetError(f"{path} is not an idx file of unsigned bytes or 4-byte floats: it starts with {found!r}")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    kind, size = ELEMENTS[data[2]]
    expected = start + math.prod(shape) * size
    if len(data) != expected:
        raise DatasetError(f"{path} is damaged: its header asks for {expected} bytes, found {len(data)}")
    return shape, kind, memoryview(data)[start:]


class Contents(NamedTuple):
    """What a file holds: its array's shape and element type, and whether it is the published file."""

    shape: tuple[int, ...]
    kind: str
    published: bool

    @property
    def each(self) -> str:
        """The size and element type of its images, for the user."""
        size = "×".join(map(str, self.shape[1:]))
        return f"{size} {'bytes' if self.kind == BYTES else 'floats'}"


def inspect(info: DatasetInfo, kind: str, directory: Path) -> Source | None:
    """The dataset in a directory, verified; None where one of its four files is missing.

    Raises:
        DatasetError: a file is damaged, or does not fit the others.
    """
    paths = locate(info, directory)
    if len(paths) < len(info.files):
        return None
    try:
        checks = {role: _check(info, role, path) for role, path in paths.items()}
        published = all(found.published for found in checks.values())
        if not published and kind not in ("data-dir", "sample"):
            role = next(role for role, found in checks.items() if not found.published)
            raise _damaged(info.files[role], paths[role])
        train, test = checks["train_images"], checks["test_images"]
        if train.each != test.each:
            raise DatasetError(
                f"{paths['test_images']} does not fit the training images: they are {train.each}, these {test.each}"
            )
        for split in ("train", "test"):
            images, labels = checks[f"{split}_images"].shape[0], checks[f"{split}_labels"].shape[0]
            if images != labels:
                path = paths[f"{split}_labels"]
                raise DatasetError(
                    f"{path} does not fit the images beside it: expected {images} labels, found {labels}"
                )
    except DatasetError as error:
        raise DatasetError(error.message, HINTS[kind]) from error
    parent = paths["train_images"].parent
    return Source(info.name, kind, parent, train.shape[0], test.shape[0], published=published)


def _check(info: DatasetInfo, role: str, path: Path) -> Contents:
    """What a file holds.

    Raises:
        DatasetError: it is damaged, or has a shape, type or label that cannot be used.
    """
    file = info.files[role]
    if _digest(path)[1] in (file.md5, file.gz_md5, file.repacked_md5):
        return Contents(file.shape, BYTES, True)
    try:
        data = read_file(path)
    except DatasetError:
        raise _damaged(file, path) from None
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == file.md5:
        return Contents(file.shape, BYTES, True)

    shape, kind, elements = parse_idx(data, path)
    of_images = role.endswith("images")
    if len(shape) != len(file.shape) or shape[0] == 0 or any(side not in SIDES for side in shape[1:]):
        expected = f"N×H×W with H and W from {SIDES[0]} to {SIDES[-1]}" if of_images else "N"
        raise DatasetError(f"{path} has the wrong shape: expected {expected}, found {'×'.join(map(str, shape))}")
    if not of_images and kind != BYTES:
        raise DatasetError(f"{path} holds floats: expected labels as unsigned bytes")
    if not of_images and max(elements) >= len(info.classes):
        raise DatasetError(f"{path} has a label {max(elements)}: expected labels below {len(info.classes)}")
    return Contents(shape, kind, False)


def _damaged(file: PublishedFile, path: Path) -> DatasetError:
    size, md5 = (file.gz_size, file.gz_md5) if path.suffix == ".gz" else (file.size, file.md5)
    found_size, found_md5 = _digest(path)
    return DatasetError(
        f"{path} is not the published file or is damaged: "
        f"expected {size} bytes with MD5 {md5}, found {found_size} bytes with MD5 {found_md5}"
    )


def _digest(path: Path) -> tuple[int, str]:
    """The size of a file in bytes and its MD5."""
    if (file_read := read_ahead.kept(path)) is not None:
        return file_read.digest
    _check_size(path)
    md5, size = hashlib.md5(usedforsecurity=False), 0
    try:
        with open(path, "rb") as file:
            while part := file.read(PART):
                md5.update(part)
                size += len(part)
    except OSError as error:
        raise _unreadable(path, error) from error
    return size, md5.hexdigest()


def _check_size(path: Path) -> int:
    """Free memory in bytes. A run from elsewhere may name any file: one without an end must not be read to it.

    Raises:
        DatasetError: the file is empty, as what the system makes up as it is read, or memory has no room for it.
    """
    import psutil

    try:
        size = os.stat(path).st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    room = int(psutil.virtual_memory().available)
    if size == 0:
        raise DatasetError(f"{path} is empty")
    if size > room:
        raise _too_large(path, size, room)
    return room


def _too_large(path: Path, size: int, room: int) -> DatasetError:
    return DatasetError(f"{path} has {size / 2**30:,.1f} GiB or more, and {room / 2**30:,.1f} GiB of memory are free")


def _unreadable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path} cannot be read: {error.strerror}")
