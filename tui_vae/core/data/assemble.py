"""A data set from a file or folder: recognized, split, brought to one shape, in memory or mapped from the cache."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.config.data_options import size_of
from tui_vae.core.data import cache
from tui_vae.core.data.download import REPORT_SECONDS
from tui_vae.core.data.fingerprint import fingerprint_of
from tui_vae.core.data.labels import Classes, classes_of, names_beside
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import Found, Integers, Part, part_of, words_of
from tui_vae.core.data.readers.pictures import broken_note
from tui_vae.core.data.recognize import Recognized, recognize
from tui_vae.core.data.shaping import Shaping, shaping_of
from tui_vae.core.data.split import SEED, split_rows
from tui_vae.main_memory import free_main_memory

GIVEN = "given by the source"
"""Where the test images come from, if the source says which they are."""

STREAMED = ("pictures", "parquet", "csv")
"""Formats whose images are decoded one by one, once."""

SHARE_OF_MEMORY = 0.25
"""The share of the free memory that a data set may take; a larger one is mapped from the cache."""

CHUNK = 16 << 20
"""Bytes of images that are converted at once."""


class Wanted(NamedTuple):
    """What the options ask for: see `RunConfig`."""

    image_size: int | str | None = None
    channels: int | None = None
    test_share: float = 0.1
    names: tuple[str, ...] = ()
    """Of classes, where the source is a known set."""


@dataclass
class Assembled:
    """A data set as it is trained on; arrays as of `datasets.Dataset`. split: where the test images come from."""

    format: str
    files: list[str]
    classes: tuple[str, ...]
    arrays: dict[str, NDArray[Any]]
    notes: list[str]
    split: str
    fingerprint: str


def load_path(path: Path, wanted: Wanted, progress: Callable[[str], None]) -> Assembled:
    """The data set in a file or folder.

    Raises:
        DatasetError: there is none that can be used; the message says what is there and what to do.
    """
    recognized = recognize(path)
    names = wanted.names or names_beside(path)
    asked = (str(path.absolute()), recognized.format, wanted, names)
    key = cache.Key(asked, recognized.versions())
    if entry := cache.find(key):
        return _of_entry(entry)
    found = recognized.read(wanted.image_size, wanted.channels, progress)
    parts, split, notes = _parts(found, wanted.test_share)
    is_pictures = found.format in ("pictures", "parquet")
    size_to_make = None if is_pictures else size_of(wanted.image_size)  # pictures are decoded to it
    shaping = _shaping(recognized, found, parts, size_to_make, wanted.channels)
    classes = classes_of([chosen.part.labels for chosen in parts], found, names)
    notes = [*found.notes, *notes, *classes.notes]
    if found.transposed:
        notes.append("EMNIST's images are stored with rows and columns exchanged: shown upright")
    assembled = Assembled(found.format, [str(each) for each in found.files], classes.names, {}, notes, split, "")
    train, test = parts
    size = (len(train.rows) + len(test.rows)) * math.prod(shaping.shape) * np.dtype(shaping.kind).itemsize
    as_stored = all(len(chosen.rows) == len(chosen.part) for chosen in parts)
    arrays = [chosen.part.images for chosen in parts]
    if as_stored and all(shaping.keeps(images) for images in arrays):
        ready = [images for images in arrays if isinstance(images, np.ndarray)]
    elif found.format in STREAMED or size > free_main_memory() * SHARE_OF_MEMORY or _resizes(shaping):
        return _through_cache(key, size, assembled, parts, shaping, classes, wanted.test_share, progress)
    else:
        ready = [_converted(chosen, shaping) for chosen in parts]
    for name, images, chosen in zip(("train", "test"), ready, parts, strict=True):
        assembled.arrays[f"{name}_images"] = images
        if chosen.part.labels is not None and classes.names:
            assembled.arrays[f"{name}_labels"] = classes.numbered(chosen.part.labels[chosen.rows])
    return _finish(assembled)


def _resizes(shaping: Shaping) -> bool:
    stored = shaping.stored if shaping.order != "chw" else shaping.stored[1:]
    height_and_width = stored[:2][::-1] if shaping.transposed else stored[:2]
    return tuple(height_and_width) != shaping.shape[:2]


class Chosen(NamedTuple):
    """Rows of a part, ascending."""

    part: Part
    rows: Integers


def _parts(found: Found, share: float) -> tuple[tuple[Chosen, Chosen], str, list[str]]:
    """The training and the test images, in a sentence where the latter come from, and what is left out.

    Raises:
        DatasetError: there are no images.
    """
    notes: list[str] = []
    parts = dict(found.parts)
    if "test" not in parts and "train" in parts and "val" in parts:
        parts["test"] = parts.pop("val")
        notes.append("the validation images serve as the test set: there is none")
    if "val" in parts and "train" in parts:
        notes.append(f"the {len(parts.pop('val')):,} validation images are left out")
    if "train" not in parts and parts:
        name = next(iter(parts))
        parts = {"train": parts.pop(name)}
    if "train" not in parts:
        raise DatasetError("there are no images", "name other data")
    train = parts["train"]
    if test := parts.get("test"):
        return (Chosen(train, np.arange(len(train))), Chosen(test, np.arange(len(test)))), GIVEN, notes
    chosen = _set_aside(train, np.arange(len(train)), share)
    return chosen, _split_words(chosen, [len(each.rows) for each in chosen], share), notes


def _set_aside(part: Part, rows: Integers, share: float) -> tuple[Chosen, Chosen]:
    """The training and the test images among these rows of a part."""
    labels = None if part.labels is None else part.labels[rows]
    of_train, of_test = split_rows(len(rows), labels, share)
    return Chosen(part, rows[of_train]), Chosen(part, rows[of_test])


def _split_words(parts: Sequence[Chosen], counts: Sequence[int], share: float) -> str:
    """Where the test images come from, in a sentence. `counts`: how many images each part has."""
    train, test = parts
    if np.array_equal(train.rows, test.rows):
        return "the only image is both the training and the test set"
    how = "of the images" if train.part.labels is None else "of each class"
    return f"{counts[1]:,} of {sum(counts):,} images set aside, {share:g} {how}, drawn with seed {SEED}"


def _shaping(
    recognized: Recognized, found: Found, parts: Sequence[Chosen], size: tuple[int, int] | None, channels: int | None
) -> Shaping:
    """How all images become those that are trained on.

    Raises:
        DatasetError: they cannot, or the parts do not fit each other.
    """
    train, test = (chosen.part.images for chosen in parts)
    if _each(train) != _each(test):
        of_test = (file for file in found.files if part_of(words_of(file.name)) == "test")
        where = next(of_test, recognized.path)
        raise DatasetError(
            f"{where} does not fit the training images: they are {_each(train)}, these {_each(test)}",
            "both must have one shape and one type",
        )
    several = [parts[0].part] if parts[0].part is parts[1].part else [chosen.part for chosen in parts]
    named = str(found.files[0] if found.files else recognized.path)
    return shaping_of(several, found.transposed, size, channels, named, found.notes)


def _each(images: Any) -> str:
    """The size and type of each image, for the user."""
    kind = str(getattr(images, "kind", "") or images.dtype)
    words = {"uint8": "bytes", "float32": "floats"}.get(kind, kind)
    return f"{'×'.join(map(str, images.shape[1:]))} {words}"


def _converted(chosen: Chosen, shaping: Shaping) -> NDArray[Any]:
    """The images of the chosen rows as they are trained on, in memory; some at a time, as scaling needs room."""
    images = chosen.part.images
    if isinstance(images, np.ndarray) and len(chosen.rows) == len(images) and shaping.keeps(images):
        return images
    made = np.empty((len(chosen.rows), *shaping.shape), shaping.kind)
    done = 0
    for rows, batch in _batches(chosen, shaping):
        made[done : done + len(rows)] = batch
        done += len(rows)
    return made


def _batches(chosen: Chosen, shaping: Shaping) -> Iterator[tuple[Integers, NDArray[Any]]]:
    """The images of the chosen rows as they are trained on, and of which rows they are."""
    images = chosen.part.images
    if not isinstance(images, np.ndarray):
        for rows, batch in images.batches(chosen.rows):
            yield rows, shaping(batch)
        return
    step = max(1, CHUNK // max(1, images[:1].nbytes))
    for start in range(0, len(chosen.rows), step):
        rows = chosen.rows[start : start + step]
        yield rows, shaping(images[rows])


class NothingDecoded(Exception):
    """No image of a part could be decoded. part: `train` or `test`; broken: the rows of both that could not."""

    def __init__(self, part: str, broken: Integers) -> None:
        super().__init__(part)
        self.part = part
        self.broken = broken


def _through_cache(
    key: cache.Key, size: int, assembled: Assembled, parts: tuple[Chosen, Chosen], shaping: Shaping, classes: Classes,
    share: float, progress: Callable[[str], None],
) -> Assembled:  # fmt: skip
    """Decode or convert all images into the cache. `share`: of those set aside, where none are given.

    Raises:
        DatasetError: no image can be decoded of a part; or as `cache.make`.
    """

    def fill(writer: cache.Writer) -> dict[str, Any]:
        counts = _write_all(writer, parts, shaping, classes, progress)
        split = assembled.split if assembled.split == GIVEN else _split_words(parts, counts, share)
        return {
            "kind": assembled.format, "files": assembled.files, "classes": assembled.classes, "split": split,
            "notes": [*assembled.notes, *_broken(parts)],
        }  # fmt: skip

    while True:
        try:
            return _of_entry(cache.make(key, size, fill, progress))
        except NothingDecoded as error:
            part, rows = parts[0].part, np.union1d(parts[0].rows, parts[1].rows)
            whole = np.setdiff1d(rows, error.broken)
            if assembled.split == GIVEN or not len(whole):
                of_part = "training" if error.part == "train" else "test"
                why = "".join(f": {note}" for note in _broken(parts))
                raise DatasetError(
                    f"none of the {of_part} images in {assembled.files[0]} can be read{why}", "name other data"
                ) from None
            parts = _set_aside(part, whole, share)  # the few that were set aside are all broken: others are drawn
            if hasattr(part.images, "done"):
                part.images.done.clear()  # it counts what is done as they are decoded again


def _write_all(
    writer: cache.Writer, parts: Sequence[Chosen], shaping: Shaping, classes: Classes, progress: Callable[[str], None]
) -> list[int]:
    """Write the images and labels of both parts, and return how many each has.

    Raises:
        NothingDecoded: one has none.
    """
    total, told = sum(len(chosen.rows) for chosen in parts), 0.0
    counts, broken = [0, 0], []
    for at, (name, chosen) in enumerate(zip(("train", "test"), parts, strict=True)):
        is_whole = np.zeros(len(chosen.rows), bool)
        for rows, images in _batches(chosen, shaping):
            writer.append(f"{name}_images", images)
            counts[at] += len(rows)
            is_whole[np.searchsorted(chosen.rows, rows)] = True
            if chosen.part.labels is not None and classes.names:
                writer.append(f"{name}_labels", classes.numbered(chosen.part.labels[rows]))
            if time.monotonic() - told >= REPORT_SECONDS:
                progress(f"decoding images, {sum(counts):,} of {total:,}")
                told = time.monotonic()
        broken.append(chosen.rows[~is_whole])
    for name, count in zip(("train", "test"), counts, strict=True):
        if not count:
            raise NothingDecoded(name, np.concatenate(broken))
    return counts


def _broken(parts: Sequence[Chosen]) -> list[str]:
    """What there is to say of pictures once they are decoded."""
    streams: list[Any] = []
    for chosen in parts:
        if hasattr(chosen.part.images, "broken") and chosen.part.images not in streams:
            streams.append(chosen.part.images)
    return broken_note(streams)


def _of_entry(entry: cache.Entry) -> Assembled:
    about = entry.about
    return _finish(
        Assembled(
            about["kind"], about["files"], tuple(about["classes"]), entry.arrays, about["notes"], about["split"], ""
        )
    )


def _finish(assembled: Assembled) -> Assembled:
    arrays = assembled.arrays
    assembled.fingerprint = fingerprint_of(
        *((arrays[f"{name}_images"], arrays.get(f"{name}_labels")) for name in ("train", "test"))
    )
    return assembled
