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
from tui_vae.core.data.readers.found import PARTS, Found, Integers, Part
from tui_vae.core.data.readers.picture_decoder import Decoder, gathered, is_picture, look_at, quiet, read_picture
from tui_vae.core.data.reading import HEAD

if TYPE_CHECKING:
    pass

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
"""Names of pictures end so. One that cannot be decoded is counted as broken; another file is no picture."""

DEEPEST = 5
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
    files = [file for file in files if _may_be_picture(folder, file.place)]
    places = [file.place for file in files]
    start = _common_start(places)
    split = [place[start:].split("/") for place in places]
    tops = {parts[0].lower() for parts in split if len(parts) > 1}
    has_parts = bool(tops) and tops <= PARTS.keys()
    depth = 1 if has_parts else 0
    if has_parts:  # a picture beside the folders of the parts belongs to none
        kept = [at for at, parts in enumerate(split) if len(parts) > 1]
        files, places, split = [files[at] for at in kept], [places[at] for at in kept], [split[at] for at in kept]
    names = sorted({parts[depth] for parts in split if len(parts) > depth + 1}, key=_natural)
    loose = sum(len(parts) == depth + 1 for parts in split)
    notes: list[str] = []
    if names and loose > len(split) // 2:
        names = []
    elif names and loose:
        kept = [at for at, parts in enumerate(split) if len(parts) > depth + 1]
        files, places, split = [files[at] for at in kept], [places[at] for at in kept], [split[at] for at in kept]
        notes.append(f"{loose:,} files lie beside the folders of the classes and are left out")
    shape, has_large = _choose_shape(folder, files, size, channels, notes)
    found = Found("pictures", [folder], {}, tuple(names), notes)
    number = {name: at for at, name in enumerate(names)}
    for part in ("train", "test", "val") if has_parts else ("train",):
        rows = [at for at, parts in enumerate(split) if not has_parts or PARTS[parts[0].lower()] == part]
        if rows:
            labels = np.array([number[split[row][depth]] for row in rows], np.int64) if names else None
            pictures = Pictures(folder, [places[row] for row in rows], (len(rows), *shape), has_large)
            found.parts[part] = Part(pictures, labels)
    return found


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
    (low, wide), _ = sizes.most_common(1)[0]
    if len(sizes) > 1:
        sides = [side for pair in sizes for side in pair]
        notes.append(f"the pictures have sides from {min(sides)} to {max(sides)} pixels: all are brought to "
                     f"{USUAL_SIZE}×{USUAL_SIZE} (--image-size for another size)")  # fmt: skip
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
        named = ", ".join(f"{place} ({why})" for place, why in broken[:SHOWN])
        more = f", and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
        several = f"{len(broken):,} broken files are" if len(broken) > 1 else "a broken file is"
        notes.append(f"{several} left out: {named}{more}")
    return notes
