"""Files of every format as other programs write them, and what `load` makes of each: the rows of a document's table.

Writers are independent of what reads: numpy, Pillow, pyarrow, Python's csv, and idx files byte by byte.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tui_vae.core.data.datasets import Dataset, load

Array = NDArray[Any]
Check = Callable[[Path], None]

TRAIN, TEST = 30, 20


def pictures(count: int, *shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise, from 0 to 255."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def labels(count: int, classes: int = 5, first: int = 0) -> NDArray[np.uint8]:
    return (np.arange(count) % classes + first).astype(np.uint8)


IMAGES, OTHERS = pictures(TRAIN, 28, 28), pictures(TEST, 28, 28, seed=1)


def idx(array: Array, code: int = 0x08, kind: str = "u1", order: str = ">") -> bytes:
    """The bytes of an idx file."""
    head = struct.pack(">I", code << 8 | array.ndim) + struct.pack(f"{order}{array.ndim}I", *array.shape)
    return head + array.astype(kind).tobytes()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return folder


def same(found: Dataset, train: Array, test: Array | None = None) -> None:
    """The pixels are these; without `test`, some of `train` are set aside."""
    if test is not None:
        np.testing.assert_array_equal(found.train_images, train)
        np.testing.assert_array_equal(found.test_images, test)
    else:
        both = np.concatenate([found.train_images, found.test_images])
        assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in train)
        assert "set aside" in found.split


def noted(found: Dataset, *words: str) -> None:
    for each in words:
        assert any(each in note for note in found.notes), (each, found.notes)


@dataclass(frozen=True)
class Row:
    """A row: what is written, and the check of what is loaded; or the words of the refusal."""

    write: Callable[[Path], Path]
    check: Callable[[Dataset], None] | None = None
    refused: str = ""
    needs: str = ""
    """A library that the row needs."""
    options: tuple[tuple[str, Any], ...] = ()

    def load(self, place: Path) -> Dataset:
        return load(str(self.write(place)), **dict(self.options))


ROWS: dict[str, Row] = {}


def row(name: str, refused: str = "", needs: str = "", **options: Any) -> Callable[[Callable[[Path], Any]], Any]:
    """Add a row: the function writes the files and returns their path, or that and the check."""

    def add(function: Callable[[Path], Any]) -> Any:
        checks: list[Callable[[Dataset], None]] = []

        def write_files(place: Path) -> Path:
            made = function(place)
            path, check = made if isinstance(made, tuple) else (made, None)
            checks[:] = [check] if check else []
            return Path(path)

        ROWS[name] = Row(write_files, lambda found: checks[0](found), refused, needs, tuple(options.items()))
        return function

    return add


Made = tuple[Path, Callable[[Dataset], None]]


def four(ending: str = "", names: str = "{part}-{what}-{kind}-ubyte", pack: bool | None = None) -> dict[str, bytes]:
    """The four files of a set in MNIST's layout."""
    files = {}
    for part, images in (("train", IMAGES), ("t10k", OTHERS)):
        for what, kind, array in (("images", "idx3", images), ("labels", "idx1", labels(len(images)))):
            contents = idx(array)
            packed = gzip.compress(contents) if (ending == ".gz" if pack is None else pack) else contents
            files[names.format(part=part, what=what, kind=kind) + ending] = packed
    return files


def classes_are(found: Dataset, *names: str) -> None:
    assert found.classes == names


def as_keras(found: Dataset) -> None:
    same(found, IMAGES, OTHERS)
    np.testing.assert_array_equal(found.labels("train"), labels(TRAIN))


COLOUR = pictures(TRAIN, 28, 28, 3)


def save(path: Path, image: Array | Image.Image, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **how)
