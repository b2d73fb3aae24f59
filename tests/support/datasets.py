"""The whole dataset, where the machine has it, and a dataset that is not FashionMNIST."""

from pathlib import Path

import numpy as np
import pytest

from tui_vae.core.data.published import DATASETS
from tui_vae.core.data.sample.make import write_idx

REAL = Path("/usr/share/datasets/fashion-mnist")
FILES = DATASETS["fashion-mnist"].files

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the whole dataset is not in {REAL}")


def write_own(directory: Path, suffix: str = "", train: int = 30, test: int = 20) -> None:
    """A whole dataset that is not FashionMNIST."""
    directory.mkdir(parents=True)
    for split, count in (("train", train), ("t10k", test)):
        write_idx(directory / f"{split}-images-idx3-ubyte{suffix}", np.full((count, 28, 28), count, np.uint8))
        write_idx(directory / f"{split}-labels-idx1-ubyte{suffix}", np.arange(count, dtype=np.uint8) % 10)
