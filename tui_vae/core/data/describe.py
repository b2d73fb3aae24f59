"""What a data set is: its facts, counted over all images, and what is odd about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.datasets import Dataset, Images, Labels
from tui_vae.core.data.duplicates import Duplicates, across_note, count_duplicates
from tui_vae.core.data.shaping import dark_notes

CHUNK = 16 << 20
"""Bytes of images that are looked at at once."""


@dataclass(frozen=True)
class Facts:
    """What there is to say of a data set. range: the lowest and highest pixel. classes: (name, training images, test
    images) of each. notes: what was done to the images, then what is odd, a sentence each."""

    dataset: Dataset
    range: tuple[float, float]
    classes: list[tuple[str, int, int]]
    duplicates: Duplicates
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same in plain values."""
        data = self.dataset
        low, high = self.range
        whole = data.train_images.dtype == np.uint8
        return {
            "name": data.name, "format": data.format, "source": data.source.description, "files": list(data.files),
            "train": len(data.train_images), "test": len(data.test_images), "shape": list(data.shape),
            "dtype": str(data.train_images.dtype), "range": [int(low), int(high)] if whole else [low, high],
            "split": data.split, "fingerprint": data.fingerprint,
            "classes": [{"name": name, "train": train, "test": test} for name, train, test in self.classes],
            "duplicates": self.duplicates._asdict(), "notes": self.notes,
        }  # fmt: skip


def describe(dataset: Dataset) -> Facts:
    """Look at all images of a data set."""
    parts = dataset.train_images, dataset.test_images
    lows, highs = zip(*map(_extremes, parts), strict=True)
    low, high = min(map(float, map(np.min, lows))), max(map(float, map(np.max, highs)))
    duplicates = count_duplicates(*parts)
    classes = [
        (name, train, test)
        for name, train, test in zip(
            dataset.classes, _counts(dataset, dataset.train_labels), _counts(dataset, dataset.test_labels), strict=True
        )
    ]
    blank = sum(int((low == high).sum()) for low, high in zip(lows, highs, strict=True))
    notes = [*dataset.notes, *_oddities(dataset, high, blank, duplicates, classes)]
    return Facts(dataset, (low, high), classes, duplicates, notes)


def _counts(dataset: Dataset, labels: Labels | None) -> list[int]:
    if labels is None:
        return []
    return [int(count) for count in np.bincount(labels, minlength=len(dataset.classes))]


def chunks(images: Images) -> Iterator[Images]:
    """Images, some at a time."""
    step = max(1, CHUNK // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        yield images[start : start + step]


def _extremes(images: Images) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lowest and the highest pixel of each image."""
    flat = [each.reshape(len(each), -1) for each in chunks(images)]
    return np.concatenate([each.min(axis=1) for each in flat]), np.concatenate([each.max(axis=1) for each in flat])


def _is_grey(images: Images) -> bool:
    """Whether images `(N, H, W, 3)` have three equal channels."""
    return all(bool((each[..., :1] == each).all()) for each in chunks(images))


def _oddities(
    dataset: Dataset, high: float, blank: int, duplicates: Duplicates, classes: list[tuple[str, int, int]]
) -> list[str]:
    """What is odd, a sentence each."""
    train, test = len(dataset.train_images), len(dataset.test_images)
    notes = []
    all_same = train > 1 and duplicates.train == train - 1 and duplicates.across == test
    if all_same:
        notes.append("all images are the same")
    if blank:
        notes.append(f"{blank:,} of {train + test:,} images are blank: all pixels of one level")
    if dataset.shape[0] == 3 and all(map(_is_grey, (dataset.train_images, dataset.test_images))):
        notes.append("all images are grey, stored in colour: --channels 1 trains on a third of the numbers")
    if dataset.train_images.dtype == np.uint8:
        notes += [note for note in dark_notes(high) if note not in dataset.notes]
    used = [name for name, of_train, of_test in classes if of_train or of_test]
    if len(used) == 1:
        notes.append(f"all images are of one class, {used[0]}")
    without = [name for name, of_train, of_test in classes if of_test == 0 and of_train]
    if without:
        notes.append(f"no test image is of {_some(without)}")
    unknown = [name for name, of_train, of_test in classes if of_train == 0 and of_test]
    if unknown:
        notes.append(f"no training image is of {_some(unknown)}")
    if note := across_note(duplicates, train, test):
        notes.append(note)
    if test == 1:
        notes.append("the test set is a single image")
    return notes


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more classes" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
