"""The files in a run's `previews/`: reconstructions of a few fixed test images through time, bounded in number.

`originals.png` holds the images side by side, `epoch-NNNNNN.png` their reconstructions after that epoch. A pixel is one
byte, 0 is black, or three, red, green and blue, in a PNG of such. Texts in `originals.png`, numbers with commas between
them: `indices` of the images in the test set, `labels` (their classes, by number), `width` of an image in pixels.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_vae.runs.files import write_atomic
from tui_vae.runs.safe_files import check_own_folder, make_own_folder, open_folder, read_whole

ORIGINALS = "originals.png"
PREVIEW_NAME = "epoch-{:06d}.png"
_PREVIEW_FILE = r"epoch-([0-9]{1,15})\.png"

TEXT_KEYS = ("indices", "labels", "width")
"""Keys of the texts in `originals.png`."""

MOST_KEPT = 60
"""Preview files that are kept of a run, besides the first and the newest: enough for a film of some seconds."""

LONGEST_NUMBER = 9
"""Digits of a number in a PNG text that are read; no image has more pixels, and Python refuses thousands of digits."""

MOST_PIXELS = 4 << 20
"""Pixels of a preview file that is decoded, ten images of 640×640. Its header says how many it has."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's names of images with so many bytes a pixel."""

PNG_SIZE = 16, 20
"""Offsets of the two numbers of 4 bytes, most significant first, that are a PNG's width and height (RFC 2083)."""

MOST_IMAGES = 1000
"""Images of a preview file that are cut out; a run has ten, and a damaged width would make millions of one pixel."""

MOST_BYTES = 16 << 20
"""Bytes of a preview file that is read: `MOST_PIXELS` of any content, and its texts."""


@dataclass(frozen=True)
class Originals:
    """The preview images themselves. What a damaged file lacks is empty; a `width` of 0 means square."""

    images: tuple[bytes, ...] = ()
    indices: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    width: int = 0
    channels: int = 1


def stride(epoch: int) -> int:
    """Spacing in epochs of the previews kept after `epoch` epochs: the power of two that keeps `MOST_KEPT` at most."""
    step = 1
    while epoch // step > MOST_KEPT:
        step *= 2
    return step


def is_due(epoch: int) -> bool:
    """Whether the preview of this epoch is written."""
    return epoch == 1 or epoch % stride(epoch) == 0


def write_originals(folder: Path, originals: Originals) -> None:
    """
    Raises:
        OSError: the folder cannot be written.
    """
    values = (_commas(originals.indices), _commas(originals.labels), str(originals.width))
    texts = dict(zip(TEXT_KEYS, values, strict=True))
    make_own_folder(folder)
    write_atomic(folder / ORIGINALS, _png(originals.images, originals.width, originals.channels, texts))


def write_preview(folder: Path, epoch: int, images: Sequence[bytes], width: int, channels: int = 1) -> str:
    """Write the reconstructions of an epoch, remove files that are no longer kept, and return the file's name.

    Raises:
        OSError: the folder cannot be written.
    """
    check_own_folder(folder)
    name = PREVIEW_NAME.format(epoch)
    write_atomic(folder / name, _png(images, width, channels, {}))
    keep = stride(epoch)
    for each, path in preview_files(folder):
        if each not in (1, epoch) and each % keep:
            path.unlink(missing_ok=True)
    return name


def remove_previews_after(folder: Path, epoch: int) -> None:
    """Remove the previews of later epochs: a run that goes on from the end of this one makes them anew.

    Raises:
        OSError: the folder cannot be written.
    """
    for each, path in preview_files(folder):
        if each > epoch:
            path.unlink(missing_ok=True)


def preview_files(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and file of each preview, in the order of the epochs."""
    try:
        with open_folder(folder) as handle:
            names = os.listdir(handle)
    except OSError:
        return []
    matches = (re.fullmatch(_PREVIEW_FILE, name) for name in names)
    return sorted((int(match[1]), folder / match[0]) for match in matches if match)


def read_originals(folder: Path) -> Originals:
    """The preview images; none of a file that is missing or damaged."""
    images, texts, channels = _read_png(folder / ORIGINALS, 0)
    indices, labels, width = (_numbers(texts.get(key, "")) for key in TEXT_KEYS)
    return Originals(images, indices, labels, (*width, 0)[0], channels)


def read_previews(
    folder: Path, width: int, newest_only: bool = False, channels: int = 1
) -> list[tuple[int, tuple[bytes, ...]]]:
    """(epoch, reconstructions) of each preview, or of the newest one.

    width: pixels of an image's line; 0: images are square. channels: 1 or 3.


    A file that is missing or damaged is passed over.
    """
    files = preview_files(folder)
    wanted = files[-1:] if newest_only else files
    return [(epoch, images) for epoch, path in wanted if (images := _read_png(path, width, channels)[0])]


def read_preview(path: Path, width: int, channels: int = 1) -> tuple[bytes, ...]:
    """As `read_previews`, of one file. None of a file that is missing or damaged."""
    return _read_png(path, width, channels)[0]


def _png(images: Sequence[bytes], width: int, channels: int, texts: dict[str, str]) -> bytes:
    from PIL import Image, PngImagePlugin

    height, mode = len(images[0]) // (width * channels), MODES[channels]
    sheet = Image.new(mode, (width * len(images), height))
    for at, image in enumerate(images):
        sheet.paste(Image.frombytes(mode, (width, height), image), (at * width, 0))
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _read_png(path: Path, width: int, channels: int = 0) -> tuple[tuple[bytes, ...], dict[str, str], int]:
    """The images of a file, the texts in it, and the channels of its pixels.

    width: pixels of an image's line, unless a text of the file says it; 0: images are square. channels: 1 or 3, or 0
    for those of the file.
    """
    from PIL import Image

    try:
        with open_folder(path.parent) as folder:
            data = read_whole(Path(path.name), MOST_BYTES, folder)
        width_of_sheet, height_of_sheet = (int.from_bytes(data[at : at + 4]) for at in PNG_SIZE)
        if width_of_sheet * height_of_sheet > MOST_PIXELS:
            return (), {}, 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would go to stderr, where the app's screen is
            with Image.open(io.BytesIO(data), formats=["PNG"]) as file:
                channels = channels or (3 if file.mode == MODES[3] else 1)
                sheet = file.convert(MODES[channels])
                texts = {str(key): value for key, value in file.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # all that Pillow raises for a damaged PNG
        return (), {}, 1
    width = (*_numbers(texts.get("width", "")), width)[0] or sheet.height
    starts = range(0, sheet.width - width + 1, width)[:MOST_IMAGES]
    return tuple(sheet.crop((x, 0, x + width, sheet.height)).tobytes() for x in starts), texts, channels


def _commas(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.isdecimal() and len(part) <= LONGEST_NUMBER)
