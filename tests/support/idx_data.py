"""Data of one's own: images of any size and type, and the idx files of a data directory."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_idx(path: Path, array: NDArray[Any]) -> None:
    """An idx file of unsigned bytes, or of big-endian floats of 4 bytes."""
    code, kind = (0x08, "u1") if array.dtype == np.uint8 else (0x0D, ">f4")
    head = struct.pack(f">I{array.ndim}I", code << 8 | array.ndim, *array.shape)
    path.write_bytes(head + array.astype(kind).tobytes())


def discs(count: int, shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    """Images `(count, height, width)` in [0, 1]: a bright disc somewhere, some of its pixels exactly white."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle, radius = dice.uniform(0.3, 0.7, (count, 2)) * shape, dice.uniform(5, 12, count)
    away = np.hypot(y - middle[:, 0, None, None], x - middle[:, 1, None, None])
    images: NDArray[np.float32] = np.clip(1.5 - away / radius[:, None, None], 0, 1).astype(np.float32)
    return images


def as_bytes(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images in [0, 1] → grey levels."""
    return (images * 255).round().astype(np.uint8)


def write_data(folder: Path, train: NDArray[Any], test: NDArray[Any]) -> Path:
    """The four files of a data directory; classes 0 to 9 in turn."""
    folder.mkdir(parents=True)
    for name, images in (("train", train), ("t10k", test)):
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", np.arange(len(images), dtype=np.uint8) % 10)
    return folder
