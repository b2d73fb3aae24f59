"""Data sets made in a test, which a trainer in the test's own process gets in place of what its configuration names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tui_vae.core.data.datasets import Dataset
from tui_vae.core.data.published_files import Source
from tui_vae.trainer import run_setup


def blobs(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Images `(count, height, width)`, or `(…, 3)`, of smooth patches; the colours of a pixel differ."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = dice.uniform(0, 6, (count, channels, 3))
    level = np.sin(waves[..., :1, None] + waves[..., 1:2, None] * y / height + waves[..., 2:, None] * x / width)
    images = np.rint(127.5 * (level + 1)).astype(np.uint8)
    return np.ascontiguousarray(images[:, 0] if channels == 1 else images.transpose(0, 2, 3, 1))


def dataset(train: NDArray[Any], test: NDArray[Any], classes: int = 3) -> Dataset:
    """With so many classes in turn, or none where there are 0."""

    def labels(count: int) -> NDArray[np.uint8 | np.uint16] | None:
        numbers = np.arange(count) % max(1, classes)
        return (numbers.astype(np.uint8) if classes <= 256 else numbers.astype(np.uint16)) if classes else None

    source = Source("blobs", "data-dir", Path("/nowhere"), len(train), len(test), published=False)
    names = tuple(f"kind {number}" for number in range(classes))
    return Dataset(
        name="blobs", source=source, classes=names, train_images=train, train_labels=labels(len(train)),
        test_images=test, test_labels=labels(len(test)),
    )  # fmt: skip


def give(monkeypatch: pytest.MonkeyPatch, data: Dataset) -> None:
    """Have every run that this process sets up train on `data`."""
    monkeypatch.setattr(run_setup, "load", lambda *_, **__: data)
