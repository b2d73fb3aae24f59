"""A dataset in memory, as numpy arrays, and the fixed choices of images that every run makes alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.dataset_files import Source, locate, parse_idx, read_file
from tui_vae.core.download import Progress
from tui_vae.core.published import DatasetError, get_info
from tui_vae.core.sources import resolve

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images as they were published: grey values from 0, black, to 255, white; labels index `classes`."""

    name: str
    source: Source
    classes: tuple[str, ...]
    train_images: Bytes  # (N, 28, 28)
    train_labels: Bytes  # (N,)
    test_images: Bytes  # (M, 28, 28)
    test_labels: Bytes  # (M,)


def load(
    dataset: str = "fashion-mnist",
    data_dir: str | Path | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Finds a dataset (see `sources.resolve`) and reads it.

    Args:
        dataset: a key of `published.DATASETS`.
        data_dir: the only directory to look in; None or "" for the usual places.
        train_limit: take the first so many training images, in their published order, whatever their classes; all of
            them if there are fewer.
        test_limit: the same for test images.
        progress: called with short texts for people while the data are looked for and downloaded.

    Raises:
        DatasetError: a limit is below 1, or the dataset was not found or is damaged.
    """
    for name, limit in (("train-limit", train_limit), ("test-limit", test_limit)):
        if limit is not None and limit < 1:
            raise DatasetError(f"{name} must be at least 1, not {limit}", "leave it out to use all images")
    info = get_info(dataset)
    source = resolve(dataset, data_dir, progress)
    paths = locate(info, source.path)

    def read(role: str, limit: int | None) -> Bytes:
        return read_idx(paths[role])[:limit].copy()  # a writable array that does not keep the rest in memory

    return Dataset(
        name=info.name,
        source=source,
        classes=info.classes,
        train_images=read("train_images", train_limit),
        train_labels=read("train_labels", train_limit),
        test_images=read("test_images", test_limit),
        test_labels=read("test_labels", test_limit),
    )


def read_idx(path: Path) -> Bytes:
    """The array in an idx file of unsigned bytes, compressed or not; read-only.

    Raises:
        DatasetError: the file cannot be read, or is not a whole idx file of unsigned bytes.
    """
    shape, elements = parse_idx(read_file(path), path)
    return np.frombuffer(elements, dtype=np.uint8).reshape(shape)


def evaluation_subset(train_count: int, test_count: int, seed: int = 0) -> Indices:
    """The training images that are evaluated in the same way as the test set: as many of them, or all if fewer.

    Returns:
        (min(train_count, test_count),) sorted indices, the same for every run with these counts.
    """
    # RandomState, since numpy promises that its streams never change; those of Generator may.
    order = np.random.RandomState(seed).permutation(train_count)
    return np.sort(order[:test_count]).astype(np.int64)


def preview_indices(labels: Bytes, count: int = 8) -> Indices:
    """The images to preview: the first one of each class, then the second ones, and so on.

    Args:
        labels: (N,) classes of the images to choose from.
        count: how many to choose; all N if there are fewer.

    Returns:
        (min(count, N),) distinct indices.
    """
    by_class = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.empty(len(labels), dtype=np.int64)  # of each image among those of its class
    rank[by_class] = np.arange(len(labels)) - np.repeat(starts, sizes)
    return np.lexsort((labels, rank))[:count].astype(np.int64)
