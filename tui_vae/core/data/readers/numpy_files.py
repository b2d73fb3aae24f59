"""NPY and NPZ files: arrays under the key names in use, mapped where that is possible, and never a pickle.

The formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; an NPZ is a zip of NPY files.
`numpy.load(mmap_mode=…)` maps an NPY file alone and reads all of an NPZ whatever one asks; an array that the archive
stores unpacked can be mapped all the same, from where it begins in the file.
"""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import MOST_LABEL, Found, Part, part_of, sides, words_of
from tui_vae.core.data.reading import MOST_DEFLATED, PART, opened, read_exactly, size_of_file

MAGIC = b"\x93NUMPY"
"""The first bytes of an NPY file."""

MOST_HEADER = 10_000
"""Bytes of an NPY header: those of plain arrays have 118; numpy refuses longer ones as well."""

MAPPED_FROM = 64 << 20
"""Bytes from which an array is mapped, not read."""

MOST_CHECKED = 1 << 30
"""Bytes of a mapped array up to which the archive's checksum is compared, which takes a second."""

MOST_KEYS = 1000
"""Arrays of an NPZ that are looked at."""

IMAGE_WORDS = {"x", "images", "image", "imgs", "img", "data", "pixels", "inputs", "features", "arr"}
LABEL_WORDS = {"y", "labels", "label", "targets", "target", "classes", "lbls"}
"""Words of a key by which one array is preferred to another that would do as well."""

WORDS = "US"
"""The kinds of arrays of text, as numpy names them."""

LOCAL_HEADER = 30
"""Bytes of the header before a member of a zip archive; its name and extra field follow."""


class OnlyObjects(DatasetError):
    """A file has nothing but arrays of Python objects."""


class Described(NamedTuple):
    """What an NPY header says. start: where the elements begin, counted from the header's first byte."""

    shape: tuple[int, ...]
    is_fortran: bool
    kind: np.dtype[Any]
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.kind.itemsize


@dataclass
class Entry:
    """An array in a file, not read yet. member: its name in an NPZ, with `.npy`. words: of its key and its file."""

    path: Path
    member: str
    described: Described
    words: list[str]

    @property
    def key(self) -> str:
        return self.member.removesuffix(".npy") or self.path.name


def is_numpy(head: bytes) -> bool:
    """Whether a file that begins so is an NPY file or may be an NPZ."""
    return head.startswith(MAGIC) or is_npz(head)


def is_npz(head: bytes) -> bool:
    """Whether a zip archive that begins so has an NPY file as its first member."""
    if not head.startswith(b"PK\x03\x04") or len(head) < LOCAL_HEADER:
        return False
    length = struct.unpack_from("<H", head, 26)[0]
    return head[LOCAL_HEADER : LOCAL_HEADER + length].endswith(b".npy")


def parse_header(file: BinaryIO, path: Path) -> Described:
    """Read an NPY header.

    Raises:
        DatasetError: it is none, or one of a version that numpy does not have.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 has written
            shape, is_fortran, kind = reader[min(version, (2, 0))](file, max_header_size=MOST_HEADER)
        if min(shape, default=1) < 0:
            raise ValueError("a negative size")
    except Exception as error:  # numpy takes the header for Python, and raises whatever its parser and tokenizer do
        words = " ".join(str(error).split())[:100]
        raise DatasetError(f"{path} is damaged: its header is none of an NPY file ({words})") from None
    return Described(shape, is_fortran, kind, file.tell())


# -- What is in the files ----------------------------------------------------------------------------------------------


def entries_of(path: Path, notes: list[str]) -> list[Entry]:
    """The arrays in an NPY or NPZ file. Those of Python objects, which only a pickle could hold, are left out.

    Raises:
        DatasetError: the file cannot be read or is damaged.
    """
    with opened(path) as file:
        head = file.read(len(MAGIC))
        file.seek(0)
        found = [("", parse_header(file, path))] if head == MAGIC else list(_members(file, path, notes))
        size = size_of_file(file)
    entries = []
    for member, described in found:
        if described.kind.hasobject:
            notes.append(f"{path.name}: {member or 'it'} holds Python objects, which are never read")
            continue
        if not member and described.start + described.size != size:
            raise DatasetError(
                f"{path} is damaged: its header asks for {described.start + described.size:,} bytes, found {size:,}",
                "fetch it again: it may have been cut off",
            )
        key = member.removesuffix(".npy")
        entries.append(Entry(path, member, described, words_of(key) + words_of(path.stem)))
    if not found and notes:
        raise DatasetError(f"{path} is damaged: {notes[0]}", "fetch it again: it may have been cut off")
    if not entries:
        raise OnlyObjects(
            f"{path} holds Python objects, which only a pickle can read, and a pickle may run code",
            "write its images as an array of numbers, with numpy.savez",
        )
    return entries


def _members(file: BinaryIO, path: Path, notes: list[str]) -> Iterator[tuple[str, Described]]:
    with _archive(file, path) as archive:
        for info in archive.infolist()[:MOST_KEYS]:
            if not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as inner:
                head = io.BytesIO(inner.read(MOST_HEADER + 16))
            described = parse_header(head, path / info.filename)
            if not described.kind.hasobject and info.file_size != described.start + described.size:
                notes.append(f"{info.filename} is not as long as its header says")
                continue
            yield info.filename, described


@contextmanager
def _archive(file: BinaryIO, path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise DatasetError(f"{path} is damaged: {error}", "fetch it again: it may have been cut off") from error


def read_entry(entry: Entry) -> NDArray[Any]:
    """The array of an entry, read-only where it is mapped.

    Raises:
        DatasetError: it is damaged, or memory has no room for it.
    """
    described, path = entry.described, entry.path
    with opened(path) as file:
        if not entry.member:
            return _read_elements(file, described, path, described.start)
        with _archive(file, path) as archive:
            info = archive.getinfo(entry.member)
            if info.compress_type == zipfile.ZIP_STORED and described.size >= MAPPED_FROM:
                with archive.open(info) as inner:
                    while described.size <= MOST_CHECKED and inner.read(PART):
                        pass  # to the end, where the checksum is compared
                return _read_elements(file, described, path, _where(file, info, path) + described.start)
            if info.file_size > info.compress_size * MOST_DEFLATED + MOST_HEADER:  # before memory is asked for
                raise DatasetError(f"{path} is damaged: {entry.member} says to be larger than can be packed in it")
            with archive.open(info) as inner:
                inner.read(described.start)
                elements = read_exactly(cast(BinaryIO, inner), described.size, path)
                inner.read(1)  # to the end, where the checksum is compared
    return _as_array(elements, described, path)


def _where(file: BinaryIO, info: zipfile.ZipInfo, path: Path) -> int:
    """Where in the file a member begins that is stored unpacked."""
    file.seek(info.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or not header.startswith(b"PK\x03\x04"):
        raise DatasetError(f"{path} is damaged: {info.filename} is not where the archive says")
    name, extra = struct.unpack_from("<HH", header, 26)
    return int(info.header_offset + LOCAL_HEADER + name + extra)


def _read_elements(file: BinaryIO, described: Described, path: Path, start: int) -> NDArray[Any]:
    if start + described.size > size_of_file(file):
        raise DatasetError(f"{path} is damaged: {described.size:,} bytes of elements are not there")
    if described.size >= MAPPED_FROM:
        order: Literal["C", "F"] = "F" if described.is_fortran else "C"
        return np.memmap(path, described.kind, mode="c", offset=start, shape=described.shape, order=order)
    file.seek(start)
    return _as_array(read_exactly(file, described.size, path), described, path)


def _as_array(elements: bytearray, described: Described, path: Path) -> NDArray[Any]:
    if len(elements) != described.size or not described.size:
        raise DatasetError(f"{path} is damaged: {described.size:,} bytes of elements are asked for and not there")
    array = np.frombuffer(elements, described.kind)
    return array.reshape(described.shape, order="F" if described.is_fortran else "C")


# -- Which arrays are images, which labels -----------------------------------------------------------------------------


def may_be_images(described: Described) -> bool:
    """Whether an array can be images: of numbers, N×H×W, N×H×W×C, N×C×H×W, or N×D with D a square."""
    if described.kind.kind not in "uifb" or not described.shape or described.shape[0] == 0:
        return False
    rank = len(described.shape)
    return rank in (3, 4) or (rank == 2 and described.shape[1] >= 64 and sides(described.shape[1]) is not None)


def may_be_labels(described: Described) -> bool:
    """Whether an array can be labels: whole numbers or words, N or N×1, or N×K of zeros with a single one."""
    rank = len(described.shape)
    if described.kind.kind in WORDS:
        return described.shape[1:] in ((), (1,))
    return described.kind.kind in "uifb" and (rank == 1 or (rank == 2 and described.shape[1] <= 1000))


def may_be_names(entry: Entry) -> bool:
    """Whether an array can be the names of classes."""
    words = words_of(entry.key)
    return (
        entry.described.kind.kind in WORDS and len(entry.described.shape) == 1 and bool({"names", "classes"} & {*words})
    )


def groups_in(paths: list[Path], notes: list[str]) -> dict[str, list[Entry]]:
    """The arrays of these files, by the data set that the files' names speak of.

    Raises:
        DatasetError: a file is damaged, and is the only one, or of the same data set as others.
    """
    groups: dict[str, list[Entry]] = {}
    damaged: dict[str, DatasetError] = {}
    for path in sorted(paths):
        of_files = IMAGE_WORDS | LABEL_WORDS
        name = "-".join(word for word in words_of(path.stem) if word not in of_files and not part_of([word]))
        try:
            groups.setdefault(name, []).extend(entries_of(path, notes))
        except OnlyObjects as error:
            if len(paths) == 1:
                raise
            notes.append(error.message)
        except DatasetError as error:
            if len(paths) == 1:
                raise
            damaged[name] = error
    for name, wrong in damaged.items():
        if groups[name]:  # without it, test images might be taken for training images
            raise wrong
        notes.append(wrong.message)
    return {name: entries for name, entries in groups.items() if any(may_be_images(each.described) for each in entries)}


def read_group(entries: list[Entry], notes: list[str]) -> Found:
    """Read the images and labels among the arrays.

    Raises:
        DatasetError: no array can be images, several can and no name decides, or a file is damaged.
    """
    is_archive = any(each.member for each in entries)
    found = Found("npz" if is_archive else "npy", sorted({each.path for each in entries}), {}, notes=notes)
    labels: dict[str, NDArray[Any] | None] = {}
    for part in ("train", "test", "val"):
        of_part = [each for each in entries if (part_of(each.words) or "train") == part]
        images = [each for each in of_part if may_be_images(each.described)]
        if not images:
            continue
        chosen = _preferred(images, IMAGE_WORDS)
        if chosen is None:
            named = ", ".join(each.key for each in images)
            raise DatasetError(
                f"{images[0].path} has several arrays that may be the images: {named}", "name the one x or images"
            )
        count = chosen.described.shape[0]
        fit = [each for each in of_part if each is not chosen and may_be_labels(each.described)]
        of_images = _preferred([each for each in fit if each.described.shape[0] == count], LABEL_WORDS)
        if of_images is None:
            _check_lengths(fit, count)
        else:
            labels[part] = _labels_of(of_images, notes)
        found.parts[part] = Part(read_entry(chosen))
    _give_labels(found, labels, [each for each in entries if may_be_names(each)])
    if not found.parts:
        shapes = ", ".join(f"{each.key} {'×'.join(map(str, each.described.shape))}" for each in entries[:8])
        raise DatasetError(
            f"{entries[0].path} has no images: expected N×H×W, N×H×W×3, N×3×H×W or N×784, found {shapes}",
            "write the images as one array, with numpy.savez",
        )
    return found


def _preferred(entries: list[Entry], words: set[str]) -> Entry | None:
    """The only one; or else the only one whose key has one of these words."""
    named = [each for each in entries if words & set(words_of(each.key))] if len(entries) > 1 else entries
    if len(named) > 1:  # xtrain and x in one file: the shortest key is the plainest
        shortest = min(len(each.key) for each in named)
        named = [each for each in named if len(each.key) == shortest]
    return named[0] if len(named) == 1 else None


def _check_lengths(entries: list[Entry], images: int) -> None:
    """
    Raises:
        DatasetError: labels are there, and of other images.
    """
    for each in entries:
        words, count = {*words_of(each.key)}, each.described.shape[0]
        if words & LABEL_WORDS and not words & {"names", "classes"} and count != images:
            raise DatasetError(f"{each.path} does not fit: {each.key} has {count:,} labels for {images:,} images",
                               "write as many labels as images")  # fmt: skip


def _give_labels(found: Found, labels: dict[str, NDArray[Any] | None], names: list[Entry]) -> None:
    """Give the parts their labels; words are numbered in the order of the alphabet."""
    there = {part: values for part, values in labels.items() if values is not None}
    kinds = {values.dtype.kind for values in there.values()}
    if kinds <= {"i"}:
        for part, numbers in there.items():
            found.parts[part].labels = numbers
        if len(names) == 1:
            found.classes = tuple(map(str, read_entry(names[0]).tolist()))
        return
    if "i" in kinds:
        found.notes.append("the labels of some parts are numbers and those of others words: they are left out")
        return
    values, numbers = np.unique(np.concatenate(list(there.values())), return_inverse=True)
    found.classes, found.names_are_labels = tuple(map(str, values.tolist())), True
    ends = np.cumsum([len(each) for each in there.values()])
    for part, of_part in zip(there, np.split(numbers.astype(np.int64), ends[:-1]), strict=True):
        found.parts[part].labels = of_part


def _labels_of(entry: Entry, notes: list[str]) -> NDArray[Any] | None:
    """Labels as 8-byte integers, or as words."""
    values = read_entry(entry)
    if values.dtype.kind in WORDS:
        values = values.reshape(len(values))
        return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
    if values.ndim == 2:
        if values.shape[1] == 1:
            values = values[:, 0]
        elif bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()):
            return np.asarray(values.argmax(axis=1), np.int64)
        else:
            notes.append(f"{entry.key} has {values.shape[1]} numbers an image, not one class, and is left out")
            return None
    if values.dtype.kind == "f" and not bool(((values == np.rint(values)) & (np.abs(values) < MOST_LABEL)).all()):
        notes.append(f"{entry.key} holds numbers that are not whole, no classes, and is left out")
        return None
    if values.dtype.kind == "u" and values.max() >= MOST_LABEL:
        notes.append(f"{entry.key} holds numbers up to {values.max():,}, no classes, and is left out")
        return None
    labels: NDArray[np.int64] = values.astype(np.int64)
    return labels


def describe_group(entries: list[Entry]) -> str:
    """A file by which the user can name the group."""
    return os.fspath(entries[0].path.name)
