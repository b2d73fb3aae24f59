"""Writes a folder with a validation part of the training set in place of the test set, to choose presets by.

`python scripts/split_validation.py FOLDER` writes FashionMNIST's first 50,000 training images as training set and its
last 10,000 as test set. `tui-vae train --data-dir FOLDER …` and `tui-vae sweep --data-dir FOLDER …` then never see the
real test set, and every figure that they print as a test figure is of the validation part.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from tui_vae.core.data.datasets import load  # noqa: E402

HELD_BACK = 10_000
"""Images of the validation part: as many as the real test set has."""

UINT8 = 8
"""The code of unsigned bytes in an idx file's header."""


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, UINT8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    data = load()
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", slice(None, -HELD_BACK)), ("t10k", slice(-HELD_BACK, None))):
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", data.train_images[part].astype(np.uint8))
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", data.labels("train")[part].astype(np.uint8))
    print(f"{folder}: {len(data.train_images) - HELD_BACK:,} + {HELD_BACK:,} images of {data.name}")


if __name__ == "__main__":
    main()
