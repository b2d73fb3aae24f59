"""A dataset in memory, as numpy arrays, and the fixed subsets of its images that every run uses alike."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tui_vae.config.data_options import DEFAULT_SET, is_named
from tui_vae.core.data import named, preloaded_files
from tui_vae.core.data.assemble import GIVEN, Wanted, load_path
from tui_vae.core.data.download import Progress, silent
from tui_vae.core.data.fingerprint import fingerprint_of
from tui_vae.core.data.published import DatasetError, get_info
from tui_vae.core.data.published_files import HINTS, Source, locate, read_file
from tui_vae.core.data.readers.idx import as_array
from tui_vae.core.data.sources import published_in, resolve
from tui_vae.plain_text import plain

Images = NDArray[np.uint8 | np.float32]
Labels = NDArray[np.uint8 | np.uint16]
Indices = NDArray[np.int64]
Array = TypeVar("Array", bound=NDArray[Any])


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
    format: str = "idx"  # or npz, npy, pictures, parquet, csv
    files: tuple[str, ...] = ()
    split: str = GIVEN  # where the test images come from, in a few words
    notes: tuple[str, ...] = ()  # what was done to the images, and what is odd, a sentence each
    fingerprint: str = ""  # of all images and labels, before the limits

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
    dataset: str = DEFAULT_SET,
    data_dir: str | Path | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    progress: Progress | None = None,
    image_size: int | str | None = None,
    channels: str = "auto",
    test_share: float = 0.1,
    may_download: bool = True,
) -> Dataset:
    """Find a data set and read it.

    Args:
        dataset: the name of a known set, or the path of a file or folder.
        data_dir: the only directory to look in for a known set; None or "" for the usual places.
        train_limit: the number of training images to take, from the first on, whatever their classes; all of them if
            there are fewer.
        test_limit: the same for test images.
        progress: called with short texts for the user while data are searched for, downloaded and decoded.
        image_size: height and width, or `HxW`, to which images are resized; None: as they are.
        channels: "1" for grey, "3" for colour, "auto" as the images are.
        test_share: the share of images set aside as the test set where the source has none.
        may_download: whether a known set that is not on this machine is fetched.

    Raises:
        DatasetError: a limit is below 1, or there are no such data, or they cannot be used; the message says why.
    """
    for name, limit in (("train-limit", train_limit), ("test-limit", test_limit)):
        if limit is not None and limit < 1:
            raise DatasetError(f"{name} must be at least 1, not {limit}", "leave it out to use all images")
    wanted = Wanted(image_size, None if channels == "auto" else int(channels), test_share)
    place = Path(data_dir).expanduser() if data_dir else None
    found = _load(dataset, place, wanted, progress or silent, may_download)
    preloaded_files.forget()  # of another dataset
    return replace(
        found,
        train_images=_first(found.train_images, train_limit),
        train_labels=None if found.train_labels is None else _first(found.train_labels, train_limit),
        test_images=_first(found.test_images, test_limit),
        test_labels=None if found.test_labels is None else _first(found.test_labels, test_limit),
    )


def _first(array: Array, limit: int | None) -> Array:
    if limit is None or limit >= len(array):
        return array
    return cast(Array, array[:limit].copy())  # which frees the rest


def _load(dataset: str, data_dir: Path | None, wanted: Wanted, progress: Progress, may_download: bool) -> Dataset:
    """A data set, with all its images."""
    if not is_named(dataset):
        if data_dir:
            raise DatasetError(f"data-dir says where a known set is, and dataset {dataset} is a file or folder",
                               "leave --data-dir out")  # fmt: skip
        place = Path(dataset)
        if source := published_in(place):
            return _load_published(DEFAULT_SET, replace(source, kind="path"), wanted, progress)
        return _from_path(place, "path", wanted, progress)
    if dataset != DEFAULT_SET:
        return _load_named(named.SETS[dataset], data_dir, wanted, progress, may_download)
    if data_dir is None:
        return _load_published(dataset, resolve(dataset, progress, may_download), wanted, progress)
    if source := published_in(data_dir):
        return _load_published(dataset, source, wanted, progress)
    try:
        return _from_path(data_dir, "data-dir", wanted, progress)
    except DatasetError as error:
        hint = f"{error.hint}; or {HINTS['data-dir']}" if error.hint else HINTS["data-dir"]
        raise DatasetError(error.message, hint) from error


def _load_named(
    known: named.NamedSet, data_dir: Path | None, wanted: Wanted, progress: Progress, may_download: bool
) -> Dataset:
    """A known set other than FashionMNIST."""
    path = known.find(data_dir) if data_dir else named.fetched(known.name, progress, may_download)
    if path is None:
        files = ", ".join((known.images, *known.others))
        raise DatasetError(f"{data_dir} does not hold {known.title}: expected {files}", HINTS["data-dir"])
    found = _from_path(path, "data-dir" if data_dir else "cache", wanted._replace(names=known.classes), progress)
    other = named.which_of(found.labels("train"))
    if other and other != known.name and known.images == named.SETS["mnist"].images:
        raise DatasetError(f"{path.parent} holds {other}, not {known.name}", f"name it: --dataset {other}")
    return replace(found, name=known.name, source=replace(found.source, dataset=known.name, path=path.parent))


def _from_path(path: Path, kind: str, wanted: Wanted, progress: Progress) -> Dataset:
    """What is in a file or folder."""
    found = load_path(path, wanted, progress)
    arrays = found.arrays
    name = plain(path.name or str(path))
    source = Source(name, kind, path, len(arrays["train_images"]), len(arrays["test_images"]), published=False)
    return Dataset(
        name, source, found.classes, arrays["train_images"], arrays.get("train_labels"),
        arrays["test_images"], arrays.get("test_labels"), found.format, tuple(found.files), found.split,
        tuple(found.notes), found.fingerprint,
    )  # fmt: skip


def _load_published(dataset: str, source: Source, wanted: Wanted, progress: Progress) -> Dataset:
    """FashionMNIST's files, as they were published, or the sample of them."""
    info = get_info(dataset)
    if wanted.image_size or wanted.channels == 3:
        shaped = _from_path(source.path, source.kind, wanted._replace(names=info.classes), progress)
        return replace(shaped, name=info.name, source=source)
    paths = locate(info, source.path)
    train_images, train_labels, test_images, test_labels = (
        as_array(read_file(paths[role]), paths[role])
        for role in ("train_images", "train_labels", "test_images", "test_labels")
    )
    fingerprint = ""
    if source.published:  # the sums of the files have been compared already
        fingerprint = hashlib.sha1(repr(info.files).encode(), usedforsecurity=False).hexdigest()
    return Dataset(
        info.name, source, info.classes, train_images, train_labels, test_images, test_labels,
        format="idx", files=tuple(str(path) for path in paths.values()),
        fingerprint=fingerprint or fingerprint_of((train_images, train_labels), (test_images, test_labels)),
    )  # fmt: skip


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
