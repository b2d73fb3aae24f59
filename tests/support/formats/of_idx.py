"""Rows of idx files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.formats.rows import (
    IMAGES,
    OTHERS,
    TEST,
    TRAIN,
    Made,
    as_keras,
    classes_are,
    four,
    idx,
    labels,
    noted,
    pictures,
    row,
    same,
    write,
)
from tui_vae.core.data.datasets import Dataset


def _four_row(name: str, **how: Any) -> None:
    @row(name)
    def made(place: Path) -> Made:
        def check(found: Dataset) -> None:
            same(found, IMAGES, OTHERS)
            assert found.format == "idx" and found.classes == tuple(f"class {at}" for at in range(5))
            np.testing.assert_array_equal(found.labels("test"), labels(TEST))

        return write(place, four(**how)), check


_four_row("idx, dashes")
_four_row("idx, dots", names="{part}-{what}.{kind}-ubyte")
_four_row("idx, a prefix", names="my-own-{part}-{what}-{kind}-ubyte")
_four_row("idx, gzip", ending=".gz")
_four_row("idx, gzip under plain names", pack=True)
_four_row("idx, plain under .gz names", ending=".gz", pack=False)
_four_row("idx, in MNIST/raw", names="MNIST/raw/{part}-{what}-{kind}-ubyte")


@row("idx, training images alone")
def _(place: Path) -> Made:
    def check(found: Dataset) -> None:
        same(found, IMAGES)
        assert (found.train_labels, found.classes, len(found.test_images)) == (None, (), 3)

    return write(place, {"train-images-idx3-ubyte": idx(IMAGES)}), check


@row("idx, one file named")
def _(place: Path) -> Made:
    write(place, {**four(), "other-train-images-idx3-ubyte": idx(OTHERS)})
    return place / "train-images-idx3-ubyte", lambda found: same(found, IMAGES, OTHERS)


for _code, _kind, _name in ((0x09, "i1", "i1"), (0x0B, ">i2", "i2"), (0x0C, ">i4", "i4")):

    @row(f"idx, {_name}")
    def _(place: Path, code: int = _code, kind: str = _kind) -> Made:
        dim = IMAGES // 2 if kind == "i1" else IMAGES
        return write(place, {"train-images": idx(dim, code, kind)}), lambda found: same(found, dim)


for _code, _kind, _name in ((0x0D, ">f4", "f4"), (0x0E, ">f8", "f8")):

    @row(f"idx, {_name}")
    def _(place: Path, code: int = _code, kind: str = _kind) -> Made:
        unit = (IMAGES / 255).astype(kind)

        def check(found: Dataset) -> None:
            assert found.train_images.dtype == np.float32
            same(found, unit.astype(np.float32))

        return write(place, {"train-images": idx(unit, code, kind)}), check


@row("idx, QMNIST's labels")
def _(place: Path) -> Made:
    eight = np.zeros((TRAIN, 8), np.int32)
    eight[:, 0], eight[:, 1] = labels(TRAIN), 7
    files = {"qmnist-train-images-idx3-ubyte": idx(IMAGES), "qmnist-train-labels-idx2-int": idx(eight, 0x0C, ">i4")}

    def check(found: Dataset) -> None:
        noted(found, "the first is the class")
        assert found.classes == tuple(f"class {at}" for at in range(5))

    return write(place, files), check


@row("idx, EMNIST")
def _(place: Path) -> Made:
    wide = pictures(TRAIN, 28, 20)

    def check(found: Dataset) -> None:
        noted(found, "rows and columns exchanged")
        assert found.shape == (1, 20, 28)
        same(found, np.ascontiguousarray(wide.swapaxes(1, 2)))

    return write(place, {"emnist-letters-train-images-idx3-ubyte": idx(wide)}), check


@row("idx, labels 5, 7 and 300")
def _(place: Path) -> Made:
    odd = np.array([5, 7, 300] * 10)
    files = {"train-images": idx(IMAGES), "train-labels": idx(odd, 0x0B, ">i2")}
    return write(place, files), lambda found: classes_are(found, "class 5", "class 7", "class 300")


@row("idx, with classes.txt")
def _(place: Path) -> Made:
    write(place, {**four(), "classes.txt": "Äpfel\nbananas\ncherries\ndates\nelderberries\n".encode()})
    return place, lambda found: classes_are(found, "Äpfel", "bananas", "cherries", "dates", "elderberries")


@row("idx, with too few names in classes.txt")
def _(place: Path) -> Made:
    write(place, {"train-images": idx(IMAGES), "train-labels": idx(labels(TRAIN)), "classes.txt": b"ant\nbee\n"})

    def check(found: Dataset) -> None:
        classes_are(found, "ant", "bee", "class 2", "class 3", "class 4")
        noted(found, "there are names for 2 classes, and labels from 0 to 4")

    return place, check


@row("idx, colour")
def _(place: Path) -> Made:
    colour = pictures(TRAIN, 10, 12, 3)

    def check(found: Dataset) -> None:
        assert found.shape == (3, 10, 12)
        same(found, colour)

    return write(place, {"train-images": idx(colour)}), check


@row("idx, a broken file beside a whole one")
def _(place: Path) -> Made:
    files = four() | {"train-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES))[:-300]}

    def check(found: Dataset) -> None:
        same(found, IMAGES, OTHERS)
        noted(found, "is damaged: Compressed file ended before the end-of-stream marker")

    return write(place, files), check


@row(
    "idx, two sets in one folder", refused="holds 2 data sets, beginning with a-train-images, b-train-images; name one"
)
def _(place: Path) -> Path:
    return write(place, {"a-train-images": idx(IMAGES), "b-train-images": idx(IMAGES)})


@row("a web page saved as .gz", refused="is a web page, not data; fetch the file itself")
def _(place: Path) -> Path:
    return write(place, four(".gz") | {"t10k-images-idx3-ubyte.gz": b"<!DOCTYPE html><html>Sign in</html>"})


@row("an empty file", refused="t10k-images-idx3-ubyte is empty")
def _(place: Path) -> Path:
    return write(place, four() | {"t10k-images-idx3-ubyte": b""})


@row("half a packed file", refused="is damaged: Compressed file ended before the end-of-stream marker was reached")
def _(place: Path) -> Path:
    whole = four(".gz")
    return write(place, whole | {"train-images-idx3-ubyte.gz": whole["train-images-idx3-ubyte.gz"][:-2000]})


@row("trailing bytes", refused="has 7 bytes more than the 23,536 that its header asks for")
def _(place: Path) -> Path:
    return write(place, {"train-images-idx3-ubyte": idx(IMAGES) + b"garbage"})


@row("little-endian sizes", refused="these are little-endian, 30×28×28; write it again with big-endian integers")
def _(place: Path) -> Path:
    return write(place, {"train-images-idx3-ubyte": idx(IMAGES, order="<")})


@row("sizes of 2⁴⁰ bytes", refused="is damaged: its header asks for 1,099,511,627,792 bytes, found 816")
def _(place: Path) -> Path:
    return write(place, {"train-images-idx3-ubyte": struct.pack(">4I", 0x803, 2**20, 2**10, 2**10) + bytes(800)})


@row("sizes of 2⁴⁰ bytes, packed", refused="its header asks for 1,099,511,627,792 bytes, more than can be packed in it")
def _(place: Path) -> Path:
    head = struct.pack(">4I", 0x803, 2**20, 2**10, 2**10)
    return write(place, {"train-images-idx3-ubyte.gz": gzip.compress(head + bytes(800))})


@row("signed bytes below 0", refused="in signed bytes: expected 0, black, to 255, white; they are most likely unsigned")
def _(place: Path) -> Path:
    return write(place, {"train-images-idx3-ubyte": idx(IMAGES.view(np.int8), 0x09, "i1")})


@row("bytes of 0 and 1")
def _(place: Path) -> Made:
    binary = IMAGES & 1

    def check(found: Dataset) -> None:
        noted(found, "1 is taken for white")
        same(found, binary * 255)

    return write(place, {"train-images": idx(binary)}), check


@row(
    "integers above 255", refused="from 0 to 4,095, in integers of 4 bytes: which of them is white is not known; scale"
)
def _(place: Path) -> Path:
    return write(place, {"train-images": idx(IMAGES.astype(int) * 16 + IMAGES // 16, 0x0C, ">i4")})


@row("idx, each file in a folder of its name")
def _(place: Path) -> Made:
    return write(place, {f"{name}/{name}": contents for name, contents in four().items()}), as_keras


@row("packed twice", refused="train-images-idx3-ubyte.gz is packed by gzip once more; unpack it: gunzip")
def _(place: Path) -> Path:
    packed = gzip.compress(gzip.compress(idx(IMAGES)))
    return write(place, {"train-images-idx3-ubyte.gz": packed})


@row("nothing, packed", refused="train-images-idx3-ubyte.gz holds nothing, once unpacked")
def _(place: Path) -> Path:
    return write(place, {"train-images-idx3-ubyte.gz": gzip.compress(b"")})


@row("labels that are no numbers", refused="train-labels holds fractions or no numbers: expected labels as whole")
def _(place: Path) -> Path:
    numbers = np.full(TRAIN, np.inf, np.float32)
    return write(place, {"train-images": idx(IMAGES), "train-labels": idx(numbers, 0x0D, ">f4")})
