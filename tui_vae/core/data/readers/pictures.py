"""Folders of pictures: `class/name.png`, `train/class/name.png` or flat; decoded by Pillow, one file after another.

Formats: PNG, JPEG, WebP, GIF (its first frame), BMP, TIFF and PNM, by what is in a file, whatever its name.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.config import size_of
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import PARTS, Found, Integers, Part

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that are decoded, as Pillow names them. Others of Pillow's call programs, or are rarely tested."""

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
"""Names of pictures end so. One that cannot be decoded is counted as broken; another file is no picture."""

MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"RIFF",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"P1",
    b"P2",
    b"P3",
    b"P4",
    b"P5",
    b"P6",
)
"""The first bytes of such a file."""

DEEPEST = 5
"""Folders within folders that are looked into."""

MOST_FILES = 5_000_000
"""Files that are listed."""

MOST_PIXELS = 64_000_000
"""Pixels of a picture that is decoded: a small file may say to hold any number of them."""

MOST_BYTES = 256 << 20
"""Bytes of a picture's file that is decoded."""

BATCH = 256
"""Pictures that are decoded before they are handed on."""

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
    """A file in the folder. place: its path from there. version: what tells it from its other versions."""

    place: str
    size: int
    version: tuple[int, int]


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
        decoder = Decoder((height, width), channels[0] if channels else 1)
        with quiet(), ThreadPoolExecutor(os.cpu_count() if self.has_large else 1) as pool:
            for start in range(0, len(rows), BATCH):
                chosen = rows[start : start + BATCH]
                places = [self.places[row] for row in chosen]
                each = (pool.map if self.has_large else map)(decoder.of_file, [self.folder / place for place in places])
                yield from gathered(chosen, places, list(each), self.broken, self.done)


class Decoded(NamedTuple):
    """A picture: its image, or None and why; and what was done to it besides."""

    image: NDArray[np.uint8] | None
    done: tuple[str, ...] = ()
    why: str = ""


def gathered(
    rows: Integers, places: list[str], decoded: list[Decoded], broken: list[tuple[str, str]], done: Counter[str]
) -> Iterator[tuple[Integers, NDArray[np.uint8]]]:
    """The rows of a batch that could be decoded, with their images; the others are added to `broken`."""
    whole = [at for at, each in enumerate(decoded) if each.image is not None]
    broken += [(place, each.why) for place, each in zip(places, decoded, strict=True) if each.image is None]
    for each in decoded:
        done.update(each.done)
    if whole:
        yield rows[whole], np.stack([image for each in decoded if (image := each.image) is not None])


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings, of large pictures and of damaged EXIF data for instance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Decoder:
    """Decodes a picture to one size `(H, W)` and number of channels."""

    def __init__(self, size: tuple[int, int], channels: int) -> None:
        self._size = size
        self._mode = "L" if channels == 1 else "RGB"

    def of_file(self, path: Path) -> Decoded:
        try:
            return self.of_bytes(read_picture(path))
        except OSError as error:
            return Decoded(None, why=error.strerror or "it cannot be read")

    def of_bytes(self, contents: bytes) -> Decoded:
        """As `of_file`, from the file's contents."""
        try:
            return self._decode(contents)
        except Exception as error:  # Pillow raises whatever a decoder meets: SyntaxError, struct.error, IndexError
            if isinstance(error, MemoryError):
                raise
            return Decoded(None, why=why_not(error))

    def _decode(self, contents: bytes) -> Decoded:
        from PIL import Image, ImageOps

        with Image.open(io.BytesIO(contents), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"it has {picture.width}×{picture.height} pixels")
            picture.load()
            done: list[str] = []
            image: Image.Image = picture
            if picture.format in WITH_EXIF and picture.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(picture)
                done.append("turned as their EXIF data say")
            plain = self._plain(image, done)
        height, width = self._size
        if plain.size != (width, height):
            if plain.width * height != plain.height * width:
                done.append("cut at two edges to the shape of the others")
            done.append(f"resized to {height}×{width}")
            plain = ImageOps.fit(plain, (width, height), Image.Resampling.LANCZOS)
        return Decoded(np.asarray(plain, np.uint8), tuple(done))

    def _plain(self, image: Image.Image, done: list[str]) -> Image.Image:
        """The picture as grey (`L`) or colour (`RGB`): alpha on white, 16 bits scaled to 8, not clipped."""
        from PIL import Image

        if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
            raise ValueError("its pixels are floats or integers of 32 bits, whose white is not known")
        if image.mode.startswith("I"):  # 16 bits of grey: `convert("L")` would clip them at 255
            values = np.asarray(image).astype(np.float64)
            image = Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8))
            done.append("scaled from 16 bits to 8")
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema() != (255, 255):
                image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
                done.append("laid on white where they are transparent")
            image = image.convert("RGB")
        return image if image.mode == self._mode else image.convert(self._mode)


def why_not(error: Exception) -> str:
    """Why a picture cannot be decoded, in a few words."""
    words = " ".join(str(error).split())
    if words.startswith("cannot identify image file"):
        return "it is no picture of a known format"
    return words[:80] or type(error).__name__


ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is to be turned."""

WITH_EXIF = {"JPEG", "PNG", "WEBP", "TIFF", "MPO"}
"""Formats whose files may say so."""


def read_picture(path: Path) -> bytes:
    """
    Raises:
        OSError: it is no file, too large, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(0, "it is no file")
        if facts.st_size > MOST_BYTES:
            raise OSError(0, f"it has {facts.st_size >> 20} MiB")
        return file.read(MOST_BYTES)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so may be a picture."""
    return head.startswith(MAGIC) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP")


# -- The folder --------------------------------------------------------------------------------------------------------


def list_files(folder: Path) -> list[Listed]:
    """The files in a folder and those below it that may be pictures, in the order of their paths; hidden ones are not.

    Raises:
        DatasetError: there are too many.
    """
    found: list[Listed] = []
    todo = [("", 0)]
    while todo:
        below, depth = todo.pop()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    if entry.name.startswith((".", "__MACOSX")):
                        continue
                    place = f"{below}{entry.name}"
                    if entry.is_dir():
                        if depth < DEEPEST:
                            todo.append((f"{place}/", depth + 1))
                    elif os.path.splitext(entry.name)[1].lower() not in NO_PICTURES:
                        facts = entry.stat()
                        if stat.S_ISREG(facts.st_mode):
                            found.append(Listed(place, facts.st_size, (facts.st_mtime_ns, facts.st_ino)))
        except OSError:
            continue  # a folder that one may not enter, a link that leads nowhere
        if len(found) > MOST_FILES:
            raise DatasetError(f"{folder} has more than {MOST_FILES:,} files", "name a folder below it")
    found.sort()
    return found


NO_PICTURES = {".txt", ".csv", ".json", ".md", ".xml", ".html", ".py", ".yaml", ".yml", ".db", ".ini", ".log"}
"""Names of what often lies beside pictures end so."""


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
        looked = [(file, look_at(folder / file.place)) for file in files[::step]]
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


class Facts(NamedTuple):
    """size: height and width after turning."""

    size: tuple[int, int]
    is_colour: bool


def look_at(path: Path) -> Facts | str:
    """A picture's size and whether it has colours, as its header says; or why it is none."""
    try:
        return look_at_bytes(read_picture(path))
    except OSError as error:
        return error.strerror or "it cannot be read"


def look_at_bytes(contents: bytes) -> Facts | str:
    """As `look_at`, from the file's contents."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(contents), formats=FORMATS) as picture:
            width, height = picture.size
            if picture.format in WITH_EXIF and picture.getexif().get(ORIENTATION, 1) >= 5:  # a quarter turn
                width, height = height, width
            return Facts((height, width), _has_colour(picture))
    except Exception as error:  # as in `Decoder.of_bytes`
        if isinstance(error, MemoryError):
            raise
        return why_not(error)


def _has_colour(picture: Image.Image) -> bool:
    if picture.mode in ("P", "PA"):
        palette = picture.palette.getdata()[1] if picture.palette else b""
        mode = picture.palette.mode if picture.palette else "RGB"
        step = len(mode)
        return any(palette[at] != palette[at + 1] or palette[at] != palette[at + 2]
                   for at in range(0, len(palette) - 2, step))  # fmt: skip
    return picture.mode not in ("1", "L", "LA", "La", "F") and not picture.mode.startswith("I")


def broken_note(streams: list[Pictures]) -> list[str]:
    """What there is to say once all pictures are decoded: which were broken, and what was done to how many."""
    broken = [each for stream in streams for each in stream.broken]
    done: Counter[str] = sum((stream.done for stream in streams), Counter())
    notes = [f"{count:,} pictures were {what}" for what, count in done.items() if count]
    if broken:
        named = ", ".join(f"{place} ({why})" for place, why in broken[:SHOWN])
        more = f", and {len(broken) - SHOWN:,} more" if len(broken) > SHOWN else ""
        notes.append(f"{len(broken):,} broken files are left out: {named}{more}")
    return notes
