"""The four files of FashionMNIST in a directory: finding them, and telling whether they are the published ones."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tui_vae.config.data_places import cache_home, system_place
from tui_vae.core.data import preloaded_files, reading
from tui_vae.core.data.published import DatasetError, DatasetInfo, PublishedFile
from tui_vae.core.data.readers.idx_header import BYTES, parse_header
from tui_vae.core.data.reading import PART, opened
from tui_vae.main_memory import free_main_memory

if TYPE_CHECKING:  # numpy takes longer to import than what quick commands ask of this module
    import numpy as np
    from numpy.typing import NDArray

HINTS = {
    "data-dir": "put its files there (.gz or not), or train without --data-dir",
    "cache": "delete the file, or fetch it again: tui-vae data --download fashion-mnist",
    "system": "reinstall the package that it came with",
    "download": "check the network, or set TUI_VAE_MIRROR to another mirror, or name a copy with --data-dir",
    "sample": "reinstall tui-vae",
}


@dataclass(frozen=True)
class Source:
    """One place where a dataset was found."""

    dataset: str
    kind: str  # "data-dir", "cache", "system", "download", "sample", or "path" of data that the user names
    path: Path  # the directory of the files
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
            case "data-dir" | "path":
                return str(self.path)
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
            return system_place(info.name)
        case _:
            return Path(__file__).with_name("sample")


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


def read_file(path: Path) -> bytearray | NDArray[np.uint8]:
    """A file's contents, unpacked if gzip has packed them. The packed data are never in memory as a whole.

    Raises:
        DatasetError: it cannot be read, its packed data are damaged, or memory has no room for it.
    """
    if (file_read := preloaded_files.kept(path)) is not None:
        preloaded_files.forget(path)  # the reader may change what it gets
        return file_read.contents
    return reading.read_file(path)


def preload_file(path: Path) -> None:
    """Read a file whose digest and contents will be asked for soon.

    Raises:
        DatasetError, OSError: as of `read_file`; then it will be read when it is asked for.
    """
    import numpy as np

    version = preloaded_files.version_of(path)
    contents = np.array(read_file(path), np.uint8)
    preloaded_files.keep(path, preloaded_files.FileRead(version, _digest(path), contents))


class Contents(NamedTuple):
    """What a file holds: its array's shape, and whether it is the published file."""

    shape: tuple[int, ...]
    published: bool


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
    except DatasetError as error:
        raise DatasetError(error.message, error.hint or HINTS[kind]) from error
    published = all(found.published for found in checks.values())
    if not published and kind != "sample":
        if kind == "data-dir":
            return None
        role = next(role for role, found in checks.items() if not found.published)
        raise _damaged(info.files[role], paths[role], HINTS[kind])
    parent, counts = paths["train_images"].parent, (checks["train_images"].shape[0], checks["test_images"].shape[0])
    return Source(info.name, kind, parent, *counts, published=published)


def _check(info: DatasetInfo, role: str, path: Path) -> Contents:
    """What a file holds.

    Raises:
        DatasetError: it cannot be read.
    """
    file = info.files[role]
    if _digest(path)[1] in (file.md5, file.gz_md5, file.repacked_md5):
        return Contents(file.shape, True)
    try:
        data = read_file(path)
        if hashlib.md5(bytes(data), usedforsecurity=False).hexdigest() == file.md5:
            return Contents(file.shape, True)
        header = parse_header(bytes(data[:64]), path)
        whole = header.kind == BYTES and len(header.shape) == len(file.shape)
        return Contents(header.shape if whole and len(data) == header.start + header.size else (0,), False)
    except DatasetError:
        return Contents((0,), False)


def _damaged(file: PublishedFile, path: Path, hint: str) -> DatasetError:
    size, md5 = (file.gz_size, file.gz_md5) if path.suffix == ".gz" else (file.size, file.md5)
    found_size, found_md5 = _digest(path)
    return DatasetError(
        f"{path} is not the published file or is damaged: "
        f"expected {size} bytes with MD5 {md5}, found {found_size} bytes with MD5 {found_md5}",
        hint,
    )


def _digest(path: Path) -> tuple[int, str]:
    """The size of a file in bytes and its MD5."""
    if (file_read := preloaded_files.kept(path)) is not None:
        return file_read.digest
    md5, size = hashlib.md5(usedforsecurity=False), 0
    with opened(path) as file:
        reading.check_room(path, reading.size_of_file(file), free_main_memory())
        while part := file.read(PART):
            md5.update(part)
            size += len(part)
    return size, md5.hexdigest()
