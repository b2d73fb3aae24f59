"""Rows of NPZ and NPY files."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.support.formats.rows import (
    COLOUR,
    IMAGES,
    OTHERS,
    TEST,
    TRAIN,
    Array,
    Made,
    as_keras,
    classes_are,
    labels,
    noted,
    pictures,
    row,
    same,
)
from tui_vae.core.data.datasets import Dataset


def _npz_row(name: str, expected: Callable[[Dataset], None], **arrays: Array) -> None:
    @row(name)
    def made(place: Path) -> Made:
        np.savez(place / "data.npz", allow_pickle=False, **arrays)
        return place / "data.npz", expected


def _all(shape: tuple[int, int, int]) -> Callable[[Dataset], None]:
    def check(found: Dataset) -> None:
        assert (found.format, found.shape) == ("npz", shape)

    return check


_npz_row("NPZ, Keras's keys", as_keras, x_train=IMAGES, y_train=labels(TRAIN), x_test=OTHERS, y_test=labels(TEST))


def _medmnist(found: Dataset) -> None:
    same(found, COLOUR, COLOUR[:5])
    noted(found, "the 7 validation images are left out")
    assert found.classes == tuple(f"class {at}" for at in range(5))


_npz_row(
    "NPZ, MedMNIST's keys", _medmnist, train_images=COLOUR, train_labels=labels(TRAIN)[:, None],
    val_images=COLOUR[:7], val_labels=labels(7)[:, None], test_images=COLOUR[:5], test_labels=labels(5)[:, None],
)  # fmt: skip


@row("NPZ, dSprites' keys")
def _(place: Path) -> Made:
    binary = IMAGES[:, :20, :20] & 1
    np.savez_compressed(place / "sprites.npz", metadata=np.array({"by": "hand"}, object), imgs=binary,
                        latents_values=np.zeros((TRAIN, 6)))  # fmt: skip

    def check(found: Dataset) -> None:
        noted(found, "metadata.npy holds Python objects, which are never read", "1 is taken for white")
        same(found, binary * 255)
        assert found.train_labels is None

    return place / "sprites.npz", check


@row("NPZ, pairs of arr_0")
def _(place: Path) -> Made:
    for name, array in (("train-imgs", IMAGES), ("train-labels", labels(TRAIN)), ("test-imgs", OTHERS),
                        ("test-labels", labels(TEST))):  # fmt: skip
        np.savez_compressed(place / f"k49-{name}.npz", array)
    return place, as_keras


_npz_row("NPZ, N×H×W×1", lambda found: same(found, IMAGES), images=IMAGES[..., None])
_npz_row("NPZ, N×3×H×W", lambda found: same(found, COLOUR), images=np.ascontiguousarray(COLOUR.transpose(0, 3, 1, 2)))
_npz_row("NPZ, N×784", lambda found: same(found, IMAGES), data=IMAGES.reshape(TRAIN, 784))
_npz_row("NPZ, N×3072", _all((3, 32, 32)), data=pictures(TRAIN, 3072))
_npz_row("NPZ, booleans", lambda found: same(found, (IMAGES > 128) * np.uint8(255)), images=IMAGES > 128)
_npz_row("NPZ, columns first", lambda found: same(found, IMAGES), images=np.asfortranarray(IMAGES))
_npz_row("NPZ, one-hot labels", lambda found: classes_are(found, *(f"class {at}" for at in range(5))),
         x=IMAGES, y=np.eye(5)[labels(TRAIN)])  # fmt: skip


_npz_row("NPZ, keys like trainX", as_keras, trainX=IMAGES, trainY=labels(TRAIN), testX=OTHERS, testY=labels(TEST))


def _of_words(found: Dataset) -> None:
    classes_are(found, "ant", "bee")
    assert np.bincount(found.labels("train")).tolist() == [15, 15] and found.labels("test").tolist() == [1, 1, 0, 0]


_npz_row("NPZ, words as labels", _of_words, x_train=IMAGES, y_train=np.array(["bee", "ant"] * 15), x_test=OTHERS[:4],
         y_test=np.array([b"bee", b"bee", b"ant", b"ant"]))  # fmt: skip
_npz_row("NPZ, names of classes", lambda found: classes_are(found, "a", "b", "c", "d", "e"),
         x=IMAGES, y=labels(TRAIN), class_names=np.array(list("abcde")))  # fmt: skip


@row("NPZ, labels of other images", refused="x.npz does not fit: y has 29 labels for 30 images; write as many")
def _(place: Path) -> Path:
    np.savez(place / "x.npz", x=IMAGES, y=labels(29))
    return place / "x.npz"


@row("floats a rounding error outside [0, 1]")
def _(place: Path) -> Made:
    floats = IMAGES.astype(np.float32) / 255 * np.float32(1.000001)
    np.save(place / "x.npy", floats)

    def check(found: Dataset) -> None:
        noted(found, "pixels from 0 to 1.000001 are cut to [0, 1]")
        same(found, floats.clip(0, 1))

    return place / "x.npy", check


@row("NPY, packed by gzip", refused="x.npy.gz is an NPY or NPZ file that gzip has packed; unpack it: gunzip")
def _(place: Path) -> Path:
    packed = io.BytesIO()
    np.save(packed, IMAGES)
    (place / "x.npy.gz").write_bytes(gzip.compress(packed.getvalue()))
    return place


@row("one picture as an array", refused="found 64×64×3; one picture is no data set: write N×H×W×3")
def _(place: Path) -> Path:
    np.save(place / "x.npy", pictures(64, 64, 3))
    return place / "x.npy"


@row("NPY, 16 bits")
def _(place: Path) -> Made:
    np.save(place / "deep.npy", IMAGES.astype(np.uint16) * 257)

    def check(found: Dataset) -> None:
        noted(found, "16-bit pixels are scaled to bytes")
        same(found, IMAGES)

    return place / "deep.npy", check


@row("NPY, whole floats to 255")
def _(place: Path) -> Made:
    np.save(place / "x.npy", IMAGES.astype(np.float64))

    def check(found: Dataset) -> None:
        noted(found, "taken for bytes")
        same(found, IMAGES)

    return place / "x.npy", check


@row("NPY, training and labels apart")
def _(place: Path) -> Made:
    np.save(place / "X_train.npy", IMAGES)
    np.save(place / "y_train.npy", labels(TRAIN, 3))
    return place, lambda found: classes_are(found, "class 0", "class 1", "class 2")


@row("NPY, labels as Python objects beside images")
def _(place: Path) -> Made:
    np.save(place / "X.npy", IMAGES)
    np.save(place / "y.npy", np.array(["a", "b", None] * 10, object), allow_pickle=True)

    def check(found: Dataset) -> None:
        same(found, IMAGES)
        noted(found, "y.npy holds Python objects, which only a pickle can read")

    return place, check


@row("NPY, a broken file beside whole ones", refused="X_train.npy is damaged: its header asks for 23,648 bytes, found")
def _(place: Path) -> Path:
    np.save(place / "X_train.npy", IMAGES)
    np.save(place / "X_test.npy", OTHERS)
    (place / "X_train.npy").write_bytes((place / "X_train.npy").read_bytes()[:5000])
    return place


@row("floats below 0", refused="has pixels from -1 to 1: expected floats from 0, black, to 1, white; bring them to")
def _(place: Path) -> Path:
    np.save(place / "x.npy", np.linspace(-1, 1, TRAIN * 784).reshape(TRAIN, 28, 28))
    return place / "x.npy"


@row("floats to 255", refused="has pixels from 0 to 255: expected floats from 0, black, to 1, white; scale them, or")
def _(place: Path) -> Path:
    np.save(place / "x.npy", np.linspace(0, 255, TRAIN * 784).reshape(TRAIN, 28, 28))
    return place / "x.npy"


@row("pixels that are no numbers", refused="has pixels that are no numbers")
def _(place: Path) -> Path:
    np.save(place / "x.npy", np.full((TRAIN, 28, 28), np.nan))
    return place / "x.npy"


@row("NPY of Python objects", refused="holds Python objects, which only a pickle can read, and a pickle may run code")
def _(place: Path) -> Path:
    np.save(place / "x.npy", np.array([{"a": 1}] * 3, object), allow_pickle=True)
    return place / "x.npy"


@row("a file of PyTorch's", refused="is a zip archive; unpack it")
def _(place: Path) -> Path:
    import torch

    torch.save({"images": torch.zeros(3, 28, 28)}, place / "x.pt")
    return place / "x.pt"


@row("NPZ that lies about its size", refused="x.npz is damaged: images.npy is not as long as its header says")
def _(place: Path) -> Path:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**10, 2**10)})
    with zipfile.ZipFile(place / "x.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + bytes(100))
    return place / "x.npz"
