"""A dataset in memory, as numpy arrays, and the fixed subsets of its images that every run uses alike."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data import read_ahead
from tui_vae.core.data.download import Progress
from tui_vae.core.data.files import FLOATS, Source, locate, parse_idx, read_file
from tui_vae.core.data.published import DatasetError, get_info
from tui_vae.core.data.sources import resolve

Images = NDArray[np.uint8 | np.float32]
Labels = NDArray[np.uint8 | np.uint16]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images as their files hold them; labels index `classes`, or are None where the source has none.

    Pixels are uint8 from 0 (black) to 255 (white), or float32 from 0 to 1. Arrays are C-contiguous, in memory or
    mapped from a file, which nobody may write to. Labels are uint8 for up to 256 classes, uint16 for more.
    """

    name: str  # of a known set, else of the file or folder
    source: Source
    classes: tuple[str, ...]  # empty without labels
    train_images: Images  # (N, height, width), or (N, height, width, 3) of red, green and blue
    train_labels: Labels | None  # (N,)
    test_images: Images  # (M, height, width) or (M, height, width, 3)
    test_labels: Labels | None  # (M,)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels (1 or 3), height and width of each image."""
        height, width, *channels = self.train_images.shape[1:]
        return (channels[0] if channels else 1), height, width

    def labels(self, part: Literal["train", "test"]) -> Labels:
        """The classes of the training or test images, `(N,)`, for what makes no sense without them.

        Raises:
            DatasetError: the images have no labels.
        """
        labels = self.train_labels if part == "train" else self.test_labels
        if labels is None:
            raise DatasetError(f"the images of {self.name} have no labels", "give data whose images have classes")
        return labels


def load(
    dataset: str = "fashion-mnist",
    data_dir: str | Path | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Find a dataset (see `sources.resolve`) and read it.

    Args:
        dataset: a key of `published.DATASETS`.
        data_dir: the only directory to look in; None or "" for the usual places.
        train_limit: the number of training images to take, from the first on, whatever their classes; all of them if
            there are fewer.
        test_limit: the same for test images.
        progress: called with short texts for the user while the data are searched for and downloaded.

    Raises:
        DatasetError: a limit is below 1, or the dataset was not found, is damaged, or has floats outside [0, 1].
    """
    for name, limit in (("train-limit", train_limit), ("test-limit", test_limit)):
        if limit is not None and limit < 1:
            raise DatasetError(f"{name} must be at least 1, not {limit}", "leave it out to use all images")
    info = get_info(dataset)
    source = resolve(dataset, data_dir, progress)
    paths = locate(info, source.path)

    def labels(role: str, limit: int | None) -> Labels:
        return read_idx(paths[role])[:limit].astype(np.uint8)

    def images(role: str, limit: int | None) -> Images:
        found = read_idx(paths[role])
        return found if limit is None or limit >= len(found) else found[:limit].copy()  # which frees the rest

    found = Dataset(
        name=info.name,
        source=source,
        classes=info.classes,
        train_images=images("train_images", train_limit),
        train_labels=labels("train_labels", train_limit),
        test_images=images("test_images", test_limit),
        test_labels=labels("test_labels", test_limit),
    )
    read_ahead.forget()  # of another dataset
    return found


def read_idx(path: Path) -> Images:
    """The array in an idx file, compressed or not: unsigned bytes, or floats as float32.

    Raises:
        DatasetError: the file cannot be read, is not a whole idx file, or has floats outside [0, 1].
    """
    shape, kind, elements = parse_idx(read_file(path), path)
    found = np.frombuffer(elements, dtype=kind).reshape(shape)
    if kind != FLOATS:
        return found
    floats = found.astype(np.float32)
    low, high = float(floats.min(initial=1)), float(floats.max(initial=0))  # NaN if one is among them
    if not (low >= 0 and high <= 1):
        what = "pixels that are no numbers" if np.isnan(low) else f"pixels from {low:g} to {high:g}"
        hint = "scale them, or write unsigned bytes from 0 to 255"
        raise DatasetError(f"{path} has {what}: expected floats from 0, black, to 1, white", hint)
    return floats


def evaluation_subset(train_count: int, test_count: int, seed: int = 0) -> Indices:
    """The training images that are evaluated beside the test set: as many as it has, or all if there are fewer.

    Returns:
        (min(train_count, test_count),) sorted indices, the same for every run with these counts.
    """
    # RandomState, since numpy promises that its streams never change; those of Generator may.
    order = np.random.RandomState(seed).permutation(train_count)
    return np.sort(order[:test_count]).astype(np.int64)


def preview_indices(labels: Labels, count: int = 8) -> Indices:
    """The images to preview: the first image of each class, then the second of each, and so on.

    Args:
        labels: (N,) classes of the images to choose from.
        count: the number of images to choose; all N if there are fewer.

    Returns:
        (min(count, N),) distinct indices.
    """
    by_class = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.empty(len(labels), dtype=np.int64)  # of each image among those of its class
    rank[by_class] = np.arange(len(labels)) - np.repeat(starts, sizes)
    return np.lexsort((labels, rank))[:count].astype(np.int64)
