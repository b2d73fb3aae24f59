"""What a reader has found: the parts of a data set, as arrays or as streams of images, and what there is to say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PARTS = {
    "train": "train", "training": "train",
    "test": "test", "testing": "test", "t10k": "test",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
}  # fmt: skip
"""Words in use for the parts of a data set → the part."""

Integers = NDArray[np.int64]

MOST_LABEL = 2**53
"""A number from which on a float no longer tells a label from the next one."""


class Stream(Protocol):
    """Images that are decoded as they are needed."""

    shape: tuple[int, ...]
    """`(N, H, W)` or `(N, H, W, 3)`, as they will be decoded."""
    kind: str
    """`uint8`, or `float32` of [0, 1]."""

    def batches(self, rows: Integers) -> Iterator[tuple[Integers, NDArray[Any]]]:
        """The images of some rows, ascending, in batches: the rows that could be decoded, and their images."""


@dataclass
class SomeRows:
    """The images of some rows of a stream, ascending, as a stream of their own."""

    stream: Stream
    rows: Integers

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.stream.shape[1:])

    @property
    def kind(self) -> str:
        return self.stream.kind

    def batches(self, rows: Integers) -> Iterator[tuple[Integers, NDArray[Any]]]:
        """As `Stream`."""
        for chosen, images in self.stream.batches(self.rows[rows]):
            yield np.searchsorted(self.rows, chosen), images


@dataclass
class Part:
    """The images of one part, and a label for each.

    images: an array as the file holds it, of any shape and type, or a stream. labels: `(N,)` any integers, or indices
    of the names that the source gives; None where it has none.
    """

    images: NDArray[Any] | Stream | SomeRows
    labels: Integers | None = None

    def __len__(self) -> int:
        return int(self.images.shape[0])


@dataclass
class Found:
    """A data set as its files hold it.

    format: `idx`, `npz`, `npy`, `pictures`, `parquet` or `csv`. parts: `train`, perhaps `test` and `val`. classes:
    names that the source gives to labels, by number; empty where it gives none. transposed: images are stored with
    rows and columns exchanged. names_are_labels: `classes` are what the source has as labels, folders or words, which
    are numbered in their order here; else the source has numbers, and names for them.
    """

    format: str
    files: list[Path]
    parts: dict[str, Part]
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    transposed: bool = False
    names_are_labels: bool = False


def words_of(name: str) -> list[str]:
    """The words that a file's name, or a key, is made of: `MNIST_train-images.idx3` → mnist, train, images, idx3;
    `trainX` → train, x."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return [word for word in re.split(r"[^a-z0-9]+|(?<=\b[xy])(?=(?:train|test|val))", apart) if word]


def part_of(words: list[str]) -> str:
    """The part that a name's words speak of; the empty string where they speak of none."""
    return next((PARTS[word] for word in words if word in PARTS), "")


def sides(count: int) -> tuple[int, ...] | None:
    """Height, width and channels of a square image of so many numbers; None where it would be none."""
    side = round(count**0.5)
    if side * side == count:
        return (side, side)
    side = round((count / 3) ** 0.5)
    return (side, side, 3) if 3 * side * side == count else None
