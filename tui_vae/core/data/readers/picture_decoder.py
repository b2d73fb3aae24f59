"""Decoding a picture with Pillow: grey or colour, of one size, by what is in its file, whatever its name."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.readers.found import Integers

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that are decoded, as Pillow names them. Others of Pillow's call programs, or are rarely tested."""

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

MOST_PIXELS = 64_000_000
"""Pixels of a picture that is decoded: a small file may say to hold any number of them."""

MOST_BYTES = 256 << 20
"""Bytes of a picture's file that is decoded."""


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

    def of_file(self, path: str) -> Decoded:
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
            if _may_turn(picture) and picture.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(picture)
                done.append("turned as their EXIF data say")
            plain = self._plain(image, done)
        height, width = self._size
        if plain.size != (width, height):
            if plain.width * height != plain.height * width:
                done.append(f"cut at two edges to the shape of {height}×{width}")
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
                done.append("laid on white where transparent")
            image = image.convert("RGB")
        return image if image.mode == self._mode else image.convert(self._mode)


def _may_turn(picture: Image.Image) -> bool:
    """Whether a picture's file has EXIF data, which may say how it is to be turned."""
    return "exif" in picture.info or picture.format == "TIFF"


def why_not(error: Exception) -> str:
    """Why a picture cannot be decoded, in a few words."""
    words = " ".join(str(error).split())
    if words.startswith("cannot identify image file"):
        return "it is no picture of a known format"
    return words[:80] or type(error).__name__


ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is to be turned."""


def open_picture(path: str) -> tuple[int, int]:
    """A picture's file: its descriptor, which is to be closed, and its size in bytes.

    Raises:
        OSError: it is no file, too large, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= MOST_BYTES:
        return descriptor, facts.st_size
    os.close(descriptor)
    raise OSError(0, f"it has {facts.st_size >> 20} MiB" if stat.S_ISREG(facts.st_mode) else "it is no file")


def read_picture(path: str, most: int = MOST_BYTES) -> bytes:
    """A picture's file, or its beginning of so many bytes.

    Raises:
        OSError: as `open_picture`.
    """
    descriptor, size = open_picture(path)
    try:
        return os.read(descriptor, min(size, most))
    finally:
        os.close(descriptor)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so may be a picture."""
    return head.startswith(MAGIC) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP")


class Facts(NamedTuple):
    """size: height and width after turning."""

    size: tuple[int, int]
    is_colour: bool


def look_at(path: str) -> Facts | str:
    """A picture's size and whether it has colours, as its header says; or why it is none."""
    try:
        descriptor, _ = open_picture(path)
        with os.fdopen(descriptor, "rb") as file:
            return look_at_file(file)
    except OSError as error:
        return error.strerror or "it cannot be read"


def look_at_file(file: IO[bytes]) -> Facts | str:
    """As `look_at`, for an open file, of which no more is read than the header."""
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as picture:
            width, height = picture.size
            if _may_turn(picture) and picture.getexif().get(ORIENTATION, 1) >= 5:  # a quarter turn
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
