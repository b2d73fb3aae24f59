"""The four files of a dataset in a directory: where they are, whether they are whole, what is in them."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tui_vae.core.published import DatasetError, DatasetInfo, PublishedFile

HINTS = {
    "data-dir": "put the four idx files there (.gz or not, or as FashionMNIST/raw), or leave --data-dir out",
    "cache": "fetch it again with `tui-vae data --download fashion-mnist`, or delete the file",
    "system": "reinstall the package that it came with",
    "download": "check the network, or set TUI_VAE_MIRROR to another mirror, or name a copy with --data-dir",
    "sample": "reinstall tui-vae",
}


@dataclass(frozen=True)
class Source:
    """One place where a dataset was found."""

    dataset: str
    kind: str  # "data-dir", "cache", "system", "download" or "sample"
    path: Path  # the directory of the four files
    train: int  # images in it
    test: int
    reason: str = ""  # why the sample: what kept anything better from being found
    problem: str = ""  # what is wrong with this place; it cannot be used
    published: bool = True  # whether these are the published files

    @property
    def description(self) -> str:
        """The place in a few words, for people."""
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
    """The directory of a kind of source, other than one that the user names."""
    match kind:
        case "cache" | "download":
            return cache_home() / info.name
        case "system":
            return Path(os.environ.get("TUI_VAE_SYSTEM_DATA") or f"/usr/share/datasets/{info.name}").expanduser()
        case _:
            return Path(__file__).with_name("sample")


def cache_home() -> Path:
    """Where downloads go."""
    return Path(os.environ.get("TUI_VAE_CACHE") or platformdirs.user_cache_dir("tui-vae")).expanduser()


def locate(info: DatasetInfo, directory: Path) -> dict[str, Path]:
    """The dataset's files in a directory or in torchvision's layout below it, whichever has more; .gz before plain."""
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


def read_file(path: Path) -> bytes:
    """A file's contents, decompressed if its name ends in .gz.

    Raises:
        DatasetError: it cannot be read, or its compressed data are damaged.
    """
    return _decompress(path, _read(path))


def parse_idx(data: bytes, path: Path) -> tuple[tuple[int, ...], memoryview]:
    """Shape and elements of an idx file of unsigned bytes; `path` names it in errors.

    Raises:
        DatasetError: the header is not that of such a file, or does not fit the length.
    """
    rank = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * rank
    if data[:3] != b"\0\0\x08" or rank == 0 or len(data) < start:
        raise DatasetError(f"{path} is not an idx file of unsigned bytes: it starts with {data[:4].hex(' ')!r}")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise DatasetError(f"{path} is damaged: its header asks for {expected} bytes, found {len(data)}")
    return shape, memoryview(data)[start:]


def inspect(info: DatasetInfo, kind: str, directory: Path) -> Source | None:
    """The dataset in a directory, verified; None where one of its files is missing, DatasetError where one is wrong."""
    paths = locate(info, directory)
    if len(paths) < len(info.files):
        return None
    try:
        checks = {role: _check(info, role, path) for role, path in paths.items()}
        published = all(known for _, known in checks.values())
        if not published and kind not in ("data-dir", "sample"):
            role = next(role for role, (_, known) in checks.items() if not known)
            raise _damaged(info.files[role], paths[role])
        for split in ("train", "test"):
            images, labels = checks[f"{split}_images"][0], checks[f"{split}_labels"][0]
            if images != labels:
                path = paths[f"{split}_labels"]
                raise DatasetError(
                    f"{path} does not fit the images beside it: expected {images} labels, found {labels}"
                )
    except DatasetError as error:
        raise DatasetError(error.message, HINTS[kind]) from error
    parent = paths["train_images"].parent
    return Source(info.name, kind, parent, checks["train_images"][0], checks["test_images"][0], published=published)


def _check(info: DatasetInfo, role: str, path: Path) -> tuple[int, bool]:
    """How many items a file has and whether it is the published one; DatasetError unless its structure is whole."""
    file = info.files[role]
    raw = _read(path)
    if _md5(raw) in (file.md5, file.gz_md5, file.repacked_md5):
        return file.shape[0], True
    try:
        data = _decompress(path, raw)
    except DatasetError:
        raise _damaged(file, path) from None
    if data is not raw and _md5(data) == file.md5:
        return file.shape[0], True

    shape, elements = parse_idx(data, path)
    if len(shape) != len(file.shape) or shape[1:] != file.shape[1:] or shape[0] == 0:
        expected = "×".join(("N", *map(str, file.shape[1:])))
        found = "×".join(map(str, shape))
        raise DatasetError(f"{path} has the wrong shape: expected {expected}, found {found}")
    if role.endswith("labels") and max(elements) >= len(info.classes):
        raise DatasetError(f"{path} has a label {max(elements)}: expected labels below {len(info.classes)}")
    return shape[0], False


def _damaged(file: PublishedFile, path: Path) -> DatasetError:
    size, md5 = (file.gz_size, file.gz_md5) if path.suffix == ".gz" else (file.size, file.md5)
    raw = _read(path)
    return DatasetError(
        f"{path} is not the published file or is damaged: "
        f"expected {size} bytes with MD5 {md5}, found {len(raw)} bytes with MD5 {_md5(raw)}"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error


def _decompress(path: Path, raw: bytes) -> bytes:
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged: {error}") from error


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
