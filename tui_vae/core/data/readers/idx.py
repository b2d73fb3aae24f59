"""idx files, as MNIST and its relatives are published: any naming, any element type, packed by gzip or not."""

from __future__ import annotations

import gzip
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import MOST_LABEL, Found, Part, part_of, words_of
from tui_vae.core.data.readers.idx_header import MOST_DIMENSIONS, Header, parse_header
from tui_vae.core.data.reading import MOST_DEFLATED, opened, read_exactly, size_of_file, unpacked

MAPPED_FROM = 256 << 20
"""Bytes from which the elements of an unpacked file are mapped, not read: it may be larger than memory."""

QMNIST_COLUMNS = 8
"""Numbers that QMNIST has for each image; the first is its class."""

FILLERS = {
    "images", "image", "imgs", "img", "labels", "label", "idx1", "idx2", "idx3", "idx4", "idx", "ubyte", "byte", "int",
    "gz", "bin", "data", "x", "y", "targets",
}  # fmt: skip
"""Words in the names of idx files that say nothing of which data set they are of."""


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an idx file, packed or not, in this machine's byte order; a large unpacked file is mapped.

    Raises:
        DatasetError: the file cannot be read, or is no whole idx file.
    """
    with unpacked(path) as file:
        header = parse_header(file.read(4 + 4 * MOST_DIMENSIONS), path)
        file.seek(header.start)
        if isinstance(file, gzip.GzipFile):
            return _unpack(file, header, path)
        found = size_of_file(file) - header.start
        if found != header.size:
            raise _wrong_length(header, found, path)
        if header.size >= MAPPED_FROM and header.kind in ("u1", "i1"):
            return np.memmap(path, header.kind, "c", header.start, header.shape)
        return _array(header, read_exactly(file, header.size, path))


def _unpack(file: BinaryIO, header: Header, path: Path) -> NDArray[Any]:
    with opened(path) as packed:
        most = size_of_file(packed) * MOST_DEFLATED
    if header.size > most:  # before memory for them is asked for
        raise _wrong_length(header, None, path)
    elements = read_exactly(file, header.size, path)
    rest = 0
    while part := file.read(1 << 16):  # to the end, where gzip's checksum stands
        rest += len(part)
        if rest > most:
            break
    if len(elements) != header.size or rest:
        raise _wrong_length(header, len(elements) + rest, path)
    return _array(header, elements)


def as_array(contents: bytearray | NDArray[np.uint8], path: Path) -> NDArray[Any]:
    """The array in the contents of an idx file; `path` names it in errors.

    Raises:
        DatasetError: they are no whole idx file.
    """
    header = parse_header(bytes(contents[: 4 + 4 * MOST_DIMENSIONS]), path)
    if len(contents) != header.start + header.size:
        raise _wrong_length(header, len(contents) - header.start, path)
    return np.frombuffer(contents, header.kind, offset=header.start).reshape(header.shape)


def _array(header: Header, elements: bytearray) -> NDArray[Any]:
    array = np.frombuffer(elements, header.kind).reshape(header.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _wrong_length(header: Header, found: int | None, path: Path) -> DatasetError:
    """The error that says how the elements do not fit the header; `found`: their bytes, where they were read."""
    size = np.dtype(header.kind).itemsize
    swapped = struct.unpack(f"<{len(header.shape)}I", struct.pack(f">{len(header.shape)}I", *header.shape))
    expected = header.start + header.size
    if found is not None and math.prod(swapped) * size == found:
        return DatasetError(
            f"{path} has its sizes the wrong way round: idx files are big-endian, and these are little-endian, "
            f"{'×'.join(map(str, swapped))}",
            "write it again with big-endian integers",
        )
    if found is None:
        return DatasetError(f"{path} is damaged: its header asks for {expected:,} bytes, more than can be packed in it")
    if found > header.size:
        return DatasetError(
            f"{path} has {found - header.size:,} bytes more than the {expected:,} that its header asks for",
            "cut them off, or fetch the file again",
        )
    return DatasetError(
        f"{path} is damaged: its header asks for {expected:,} bytes, found {header.start + found:,}",
        "fetch it again: it may have been cut off",
    )


# -- Which files belong together ---------------------------------------------------------------------------------------


@dataclass
class Member:
    """One array of a data set: its files, best first, which hold the same where there are several."""

    part: str
    is_labels: bool
    paths: list[Path]


def groups_in(paths: list[Path]) -> dict[str, list[Member]]:
    """The idx files among these, by the data set that their names speak of: `emnist-balanced`, or "" for plain MNIST.

    What is an image and what a label is told by their dimensions, not by their names.
    """
    groups: dict[str, list[Member]] = {}
    for path in sorted(paths, key=lambda path: (path.suffix != ".gz", path.name)):
        try:
            with unpacked(path) as file:
                header = parse_header(file.read(4 + 4 * MOST_DIMENSIONS), path)
            is_labels = _is_labels(header)
        except DatasetError:
            # It may be a broken copy of a whole file beside it.
            is_labels = bool({"labels", "label", "idx1", "idx2", "y"} & set(words_of(path.name)))
            if not is_labels and not {"images", "image", "idx3"} & set(words_of(path.name)):
                continue
        words = words_of(path.name)
        part = part_of(words) or "train"
        name = "-".join(word for word in words if word not in FILLERS and part_of([word]) == "")
        members = groups.setdefault(name, [])
        same = next((each for each in members if (each.part, each.is_labels) == (part, is_labels)), None)
        if same is None:
            members.append(Member(part, is_labels, [path]))
        else:
            same.paths.append(path)
    return {name: members for name, members in groups.items() if any(not each.is_labels for each in members)}


def _is_labels(header: Header) -> bool:
    return len(header.shape) == 1 or (len(header.shape) == 2 and header.shape[1] in (1, QMNIST_COLUMNS))


def read_group(members: list[Member]) -> Found:
    """Read the files of one data set.

    Raises:
        DatasetError: one is damaged and no other copy of it is whole, or images and labels do not fit each other.
    """
    found = Found("idx", [], {})
    images = {each.part: each for each in members if not each.is_labels}
    labels = {each.part: each for each in members if each.is_labels}
    for part, member in images.items():
        path, array = _first_whole(member, found.notes)
        found.files.append(path)
        of_part = Part(array)
        if part in labels:
            path_of_labels, of_part.labels = _read_labels(labels[part], found.notes)
            found.files.append(path_of_labels)
            if len(of_part.labels) != len(array):
                raise DatasetError(
                    f"{path_of_labels} does not fit the images beside it: "
                    f"expected {len(array):,} labels, found {len(of_part.labels):,}",
                    "name a folder where both are of the same images",
                )
        found.parts[part] = of_part
    for part in labels.keys() - images.keys():
        found.notes.append(f"{labels[part].paths[0].name} has no images beside it and is left out")
    found.transposed = any("emnist" in path.name.lower() for path in found.files)
    return found


def _first_whole(member: Member, notes: list[str]) -> tuple[Path, NDArray[Any]]:
    errors: list[DatasetError] = []
    for path in member.paths:
        try:
            array = read_idx(path)
        except DatasetError as error:
            errors.append(error)
            continue
        notes += [f"{error.message}: {path.name} beside it is used" for error in errors]
        return path, array
    raise errors[0]


def _read_labels(member: Member, notes: list[str]) -> tuple[Path, NDArray[np.int64]]:
    path, array = _first_whole(member, notes)
    if array.ndim == 2:
        if array.shape[1] == QMNIST_COLUMNS:
            notes.append(f"{path.name} has {QMNIST_COLUMNS} numbers an image, as QMNIST's: the first is the class")
        array = array[:, 0]
    if array.dtype.kind == "f" and not bool(((array == np.rint(array)) & (np.abs(array) < MOST_LABEL)).all()):
        raise DatasetError(
            f"{path} holds fractions or no numbers: expected labels as whole numbers", "write them as integers"
        )
    return path, array.astype(np.int64)


def describe_group(members: list[Member]) -> str:
    """A file by which the user can name the group."""
    return os.fspath(next(each.paths[0] for each in members if not each.is_labels).name)
