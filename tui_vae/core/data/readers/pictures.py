"""Folders of pictures: `class/name.png`, `train/class/name.png` or flat; decoded by Pillow, one file after another.

Formats: PNG, JPEG, WebP, GIF (its first frame), BMP, TIFF and PNM, by what is in a file, whatever its name.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.config import size_of
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import PARTS, Found, Integers, Part, part_of, words_of
from tui_vae.core.data.readers.picture_decoder import Decoder, gathered, is_picture, look_at, quiet, read_picture
from tui_vae.core.data.reading import HEAD

if TYPE_CHECKING:
    pass

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
"""Names of pictures end so. One that cannot be decoded is counted as broken; another file is no picture."""

DEEPEST = 10
"""Folders within folders that are looked into."""

MOST_FILES = 5_000_000
"""Files that are listed."""

BATCH = 256
"""Pictures that are decoded before they are handed on."""

MOST_THREADS = 8
"""Threads that decode: a picture of `MOST_PIXELS` takes about a gigabyte while it is decoded."""

LARGE_FILE = 16 << 10
"""Bytes of a picture's file from which several threads decode: most of the time is then Pillow's, which lets go of
Python's lock."""

SHOWN = 5
"""Broken files that are named."""

USUAL_SIZE = 64
"""Height and width to which pictures of several sizes, or larger than can be trained on, are brought, in pixels."""

LOOKED_AT = 2000
"""Pictures whose headers are read to find out whether all have one size, evenly spaced among all."""


class Listed(NamedTuple):
    """A file in the folder. place: its path from there. size, time and inode tell it from its other versions."""

    place: str
    size: int
    time: int
    inode: int


@dataclass
class Pictures:
    """A stream of the pictures in some files, at one size and number of channels."""

    folder: Path
    places: list[str]
    shape: tuple[int, ...]
    has_large: bool
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Files that could not be decoded, and why."""
    done: Counter[str] = field(default_factory=Counter)
    kind: str = "uint8"
    """What was done to pictures, and to how many."""

    def batches(self, rows: Integers) -> Iterator[tuple[Integers, NDArray[np.uint8]]]:
        """As `found.Stream`."""
        height, width, *channels = self.shape[1:]
        folder = os.fspath(self.folder)
        decoder = Decoder((height, width), channels[0] if channels else 1)
        with quiet(), ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1) if self.has_large else 1) as pool:
            for start in range(0, len(rows), BATCH):
                chosen = rows[start : start + BATCH]
                places = [self.places[row] for row in chosen]
                each = (pool.map if self.has_large else map)(decoder.of_file, [f"{folder}/{place}" for place in places])
                yield from gathered(chosen, places, list(each), self.broken, self.done)


# -- The folder --------------------------------------------------------------------------------------------------------


def list_files(folder: Path) -> list[Listed]:
    """The files in a folder and those below it that may be pictures, in the order of their paths; hidden ones are not.

    Raises:
        DatasetError: there are too many.
    """
    found: list[Listed] = []
    todo, seen = [("", 0)], set()
    while todo:
        below, depth = todo.pop()
        try:
            facts = os.stat(folder / below)
            if (facts.st_dev, facts.st_ino) in seen:  # a link has led back to it
                continue
            seen.add((facts.st_dev, facts.st_ino))
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    name = entry.name
                    if name.startswith((".", "__MACOSX")):
                        continue
                    if entry.is_dir():
                        if depth < DEEPEST:
                            todo.append((f"{below}{name}/", depth + 1))
                    elif entry.is_file() and name[name.rfind(".") :].lower() not in NO_PICTURES:
                        facts = entry.stat()
                        found.append(Listed(below + name, facts.st_size, facts.st_mtime_ns, facts.st_ino))
        except OSError:
            continue  # a folder that one may not enter, a link that leads nowhere
        if len(found) > MOST_FILES:
            raise DatasetError(f"{folder} has more than {MOST_FILES:,} files", "name a folder below it")
    found.sort()
    return found


NO_PICTURES = {".txt", ".csv", ".json", ".md", ".xml", ".html", ".py", ".yaml", ".yml", ".db", ".ini", ".log"}
"""Names of what often lies beside pictures end so."""


def _may_be_picture(folder: Path, place: str) -> bool:
    """Whether a file's name is that of a picture, or else its first bytes are."""
    if place[place.rfind(".") :].lower() in SUFFIXES:
        return True
    try:
        return is_picture(read_picture(f"{folder}/{place}", HEAD))
    except OSError:
        return False


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A key that sorts 10 after 9."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d{1,18})", name) if part)


def read_folder(
    folder: Path, files: list[Listed], size: int | str | None, channels: int | None,
    progress: Callable[[str], None],
) -> Found:  # fmt: skip
    """The pictures in a folder, in parts and classes as its folders are named.

    Raises:
        DatasetError: there is no picture.
    """
    by_place = {file.place: file for file in files if _may_be_picture(folder, file.place)}
    notes: list[str] = []
    placed = _kept(_placed(list(by_place), notes), notes)
    shape, has_large = _choose_shape(folder, [by_place[each.place] for each in placed], size, channels, notes)
    names = sorted({each.label for each in placed if each.label is not None}, key=_natural)
    found = Found("pictures", [folder], {}, tuple(names), notes, names_are_labels=True)
    number = {name: at for at, name in enumerate(names)}
    for part in ("train", "test", "val"):
        of_part = [each for each in placed if each.part == part]
        if of_part:
            labels = np.array([number[str(each.label)] for each in of_part], np.int64) if names else None
            pictures = Pictures(folder, [each.place for each in of_part], (len(of_part), *shape), has_large)
            found.parts[part] = Part(pictures, labels)
    return found


class Placed(NamedTuple):
    """A picture. place: its path. part: of the data set. label: the folder of its class, if it lies in one."""

    place: str
    part: str
    label: str | None


def _placed(places: list[str], notes: list[str]) -> list[Placed]:
    """Which part and class pictures are of, as their folders say."""
    start = _common_start(places)
    split = [place[start:].split("/") for place in places]
    parts = parts_by_folder({folders[0] for folders in split if len(folders) > 1})
    found, others = [], Counter[str]()
    for place, folders in zip(places, split, strict=True):
        part = "train"
        if parts:
            top = folders[0]
            if len(folders) == 1 or top not in parts:
                others[top if len(folders) > 1 else ""] += 1
                continue
            # Archives often hold a folder in a folder of its name.
            part, folders = parts[top], folders[2 if len(folders) > 2 and folders[1] == top else 1 :]
        found.append(Placed(place, part, folders[0] if len(folders) > 1 else None))
    if others:
        named = ", ".join(sorted(name or "no folder" for name in others)[:SHOWN])
        notes.append(f"{others.total():,} pictures in {named}, beside the folders of the parts, are left out")
    return found


def _kept(placed: list[Placed], notes: list[str]) -> list[Placed]:
    """Pictures that all have a class, or all have none, as most of the training images; the others are left out."""
    first = next((part for part in ("train", "test", "val") if any(each.part == part for each in placed)), "")
    of_first = [each.label is None for each in placed if each.part == first]
    if sum(of_first) * 2 > len(of_first):
        return [each._replace(label=None) for each in placed]
    kept = [each for each in placed if each.label is not None]
    if loose := len(placed) - len(kept):
        notes.append(f"{loose:,} pictures lie in no folder of a class and are left out")
    return kept


PART_FILLERS = {"set", "images", "image", "imgs", "img", "data", "dataset", "pictures", "pics", "samples", "split"}
"""Words in folders' names that may stand beside that of a part: `training_set`."""


def parts_by_folder(folders: set[str]) -> dict[str, str]:
    """Folder → the part of the data set that its name speaks of; empty where the folders are those of classes.

    Words that all names share say nothing: `seg_train` and `seg_test`. Folders beside those of the training and the
    test images are of neither; but `train` beside `bus` is a class.
    """
    words = {folder: words_of(folder) for folder in folders}
    shared = set.intersection(*map(set, words.values())) if len(folders) > 1 else set()
    spoken = {}
    for folder, each in words.items():
        rest = [word for word in each if word not in shared | PART_FILLERS]
        if len(rest) == 1 and (part := part_of(rest)):
            spoken[folder] = part
    parts = {*spoken.values()}
    both = "train" in parts and len(parts) > 1
    return spoken if both or len(spoken) == len(folders) else {}


def _common_start(places: list[str]) -> int:
    """The length of the folders that all places begin with and that are no part: an archive's own folder, often."""
    common = os.path.commonpath(places) if places else ""
    folders = common.split("/")[: places[0].count("/")] if common else []
    while folders and folders[-1].lower() in PARTS:
        folders.pop()
    if all(place.count("/") == len(folders) for place in places):
        folders = folders[:-1]  # the folder of the only class
    return sum(len(folder) + 1 for folder in folders)


def _choose_shape(
    folder: Path, files: list[Listed], size: int | str | None, channels: int | None, notes: list[str]
) -> tuple[tuple[int, ...], bool]:
    """The height, width and channels to bring all pictures to, as were asked for or as most have; and whether files are
    large.

    Raises:
        DatasetError: no file is a picture.
    """
    step = max(1, len(files) // LOOKED_AT)
    sizes: Counter[tuple[int, int]] = Counter()
    colour, reasons = False, []
    with quiet():
        looked = [(file, look_at(f"{folder}/{file.place}")) for file in files[::step]]
    for file, facts in looked:
        if isinstance(facts, str):
            reasons.append((file.place, facts))
            continue
        sizes[facts.size] += 1
        colour |= facts.is_colour
    if not sizes:
        for place, why in reasons[:1]:
            raise DatasetError(f"{folder} has no picture that can be read: {place}: {why}", "name another folder")
        raise DatasetError(f"{folder} has no pictures", "name a folder of PNG, JPEG, WebP, GIF, BMP or TIFF files")
    shape = choose_size(sizes, size, notes)
    has_large = sum(file.size for file in files) / len(files) > LARGE_FILE
    return (*shape, 3) if (channels == 3 or (channels is None and colour)) else shape, has_large


def choose_size(sizes: Counter[tuple[int, int]], size: int | str | None, notes: list[str]) -> tuple[int, int]:
    """The height and width for pictures of these heights and widths: as asked for, theirs if all have one, or 64."""
    from tui_vae.config.data_options import SIDES

    asked = size_of(size)
    if asked:
        return asked
    usual = (USUAL_SIZE, USUAL_SIZE)
    (low, wide), most_have = sizes.most_common(1)[0]
    if len(sizes) > 1:
        sides = [side for pair in sizes for side in pair]
        most = f"most are {low}×{wide}, --image-size {low}x{wide} leaves these as they are"
        is_most = most_have > sizes.total() / 2 and low in SIDES and wide in SIDES and (low, wide) != usual
        notes.append(f"the pictures have sides from {min(sides)} to {max(sides)} pixels: all are brought to "
                     f"{USUAL_SIZE}×{USUAL_SIZE} ({most if is_most else '--image-size for another size'})")  # fmt: skip
        return usual
    if low not in SIDES or wide not in SIDES:
        notes.append(f"the pictures are {low}×{wide}: brought to {USUAL_SIZE}×{USUAL_SIZE} (--image-size for another)")
        return usual
    return low, wide


def broken_note(streams: list[Pictures]) -> list[str]:
    """What there is to say once all pictures are decoded: which were broken, and what was done to how many."""
    broken = [each for stream in streams for each in stream.broken]
    done: Counter[str] = sum((stream.done for stream in streams), Counter())
    notes = [
        f"{count:,} pictures were {what}" if count > 1 else f"a picture was {what}" for what, count in done.items()
    ]
    if broken:
        named = ", ".join(f"{place} ({why})" for place, why in sorted(broken)[:SHOWN])
        more = f", and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
        several = f"{len(broken):,} broken files are" if len(broken) > 1 else "a broken file is"
        notes.append(f"{several} left out: {named}{more}")
    return notes
