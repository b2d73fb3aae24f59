"""From arrays as files hold them to images that are trained on: rows upright, channels last, bytes or floats in [0, 1].

What white is must be known: a byte's is 255, a 16-bit unsigned integer's 65,535, a float's 1. Nothing is guessed that
could be wrong, but for two things, which are said: bytes of 0 and 1 alone, and whole floats from 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tui_vae.config.data_options import SIDES
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import Part, sides

CHUNK = 16 << 20
"""Bytes of an array that are converted at once."""

ALL_LOOKED_AT = 1 << 30
"""Bytes up to which every pixel of a mapped array is looked at for its range; of a larger one, `SAMPLED` images."""

SAMPLED = 4096
"""Images of a large array that are looked at, evenly spaced."""

WHITE = 255
"""The brightest byte."""

DARK = 127
"""A brightest pixel of a byte up to which images are odd: at least half the scale is not in use."""

ROUNDING = 1e-5
"""How far floats may lie outside [0, 1] and still be taken for it: 4-byte floats that were scaled there and back do."""

EXPECTED = f"N×H×W, N×H×W×3 or N×3×H×W with H and W from {SIDES[0]} to {SIDES[-1]}"

LUMA = (0.299, 0.587, 0.114)
"""The share of red, green and blue in grey (ITU-R BT.601), as Pillow has it."""


class Pixels(NamedTuple):
    """What pixels become. kind: `uint8` or `float32`. scale: what stored ones are multiplied by. clips: whether floats
    are cut to [0, 1]."""

    kind: str
    scale: float = 1.0
    clips: bool = False


@dataclass(frozen=True)
class Shaping:
    """How the images of a part become what is trained on. order: how their dimensions lie. shape: `(H, W)` or
    `(H, W, 3)`."""

    order: str
    transposed: bool
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    pixels: Pixels

    @property
    def kind(self) -> str:
        return self.pixels.kind

    def keeps(self, images: object) -> bool:
        """Whether images are as they are trained on already."""
        if not isinstance(images, np.ndarray) or self.transposed or self.pixels[1:] != (1, False):
            return False
        return images.shape[1:] == self.shape and images.dtype == self.kind and images.flags.c_contiguous

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        """`(n, …)` as stored → `(n, *shape)`, contiguous."""
        count = len(images)
        pixels = images.reshape(count, *self.stored)
        if self.order == "chw":
            pixels = pixels.transpose(0, 2, 3, 1)
        if pixels.ndim == 4 and pixels.shape[3] == 1:
            pixels = pixels[..., 0]
        if self.transposed:
            pixels = pixels.swapaxes(1, 2)
        if self.pixels.scale == WHITE:  # of 0 and 1, without a detour over floats
            pixels = pixels.astype(np.uint8) * np.uint8(WHITE)
        elif self.pixels.scale != 1:
            pixels = np.rint(pixels.astype(np.float32) * np.float32(self.pixels.scale))
        elif self.pixels.clips:
            pixels = pixels.clip(0, 1)
        pixels = np.ascontiguousarray(pixels, self.kind)
        if pixels.shape[1:] == self.shape:
            return pixels
        if pixels.shape[1:3] != self.shape[:2]:
            pixels = np.stack([resized(image, (self.shape[0], self.shape[1])) for image in pixels])
        return with_channels(pixels, self.shape[2] if len(self.shape) == 3 else 1)


def shaping_of(
    parts: list[Part], transposed: bool, size: tuple[int, int] | None, channels: int | None, where: str,
    notes: list[str],
) -> Shaping:  # fmt: skip
    """How the images of parts, which are of one shape and type, become those that are trained on.

    `where` names them in errors.

    Raises:
        DatasetError: they have a shape, type or range that cannot be used.
    """
    images = parts[0].images
    order, stored, (height, width, planes) = _layout(images.shape, where, notes)
    arrays = [part.images for part in parts if isinstance(part.images, np.ndarray)]
    pixels = _scale(arrays, where, notes) if isinstance(images, np.ndarray) else Pixels(images.kind)
    if transposed:
        height, width = width, height
    if size is None and not (height in SIDES and width in SIDES):
        raise DatasetError(
            f"{where} has the wrong shape: expected {EXPECTED}, found {'×'.join(map(str, images.shape))}",
            "have its images resized: --image-size 64",
        )
    if size and size != (height, width):
        notes.append(f"images are resized from {height}×{width} to {size[0]}×{size[1]}, each pixel from all that lie "
                     "under it (Lanczos)")  # fmt: skip
        if size[0] * width != size[1] * height:
            notes.append("images are cut at two edges to the shape that was asked for")
    wanted = channels or planes
    if wanted != planes:
        notes.append("colours are turned to grey" if wanted == 1 else "grey images are given three equal channels")
    shape = (*(size or (height, width)), *((3,) if wanted == 3 else ()))
    return Shaping(order, transposed, stored, shape, pixels)


def _layout(shape: tuple[int, ...], where: str, notes: list[str]) -> tuple[str, tuple[int, ...], tuple[int, int, int]]:
    """The order of an image's dimensions, these, and its height, width and channels.

    Raises:
        DatasetError: an array of this shape holds no images.
    """
    each = shape[1:]
    if shape[0] == 0:
        raise DatasetError(f"{where} has no images: its shape is {'×'.join(map(str, shape))}", "name another")
    if len(each) == 2 and each[1] not in (3, 4):  # which is one picture in colour
        return "hw", each, (each[0], each[1], 1)
    if len(each) == 3 and each[2] in (1, 3):
        return "hwc", each, (each[0], each[1], each[2])
    if len(each) == 3 and each[0] in (1, 3):
        return "chw", each, (each[1], each[2], each[0])
    if len(each) == 1 and (square := sides(each[0])):
        if len(square) == 2:
            return "hw", square, (square[0], square[1], 1)
        notes.append(f"{each[0]:,} numbers an image are taken for 3 channels one after another, as CIFAR's are")
        return "chw", (3, *square[:2]), (square[0], square[1], 3)
    hint = "leave alpha out" if len(each) == 3 and 4 in (each[0], each[2]) else "write one array of this shape"
    if len(each) == 2 and each[1] in (3, 4):  # a picture in colour, whose rows would pass for images
        hint = "one picture is no data set: write N×H×W×3"
    raise DatasetError(f"{where} has the wrong shape: expected {EXPECTED}, found {'×'.join(map(str, shape))}", hint)


def _scale(arrays: list[NDArray[Any]], where: str, notes: list[str]) -> Pixels:
    """What the pixels become.

    Raises:
        DatasetError: what black and white are is not known.
    """
    kind = arrays[0].dtype
    if kind == np.bool_:
        return Pixels("uint8", WHITE)
    if kind.kind not in "uif":
        raise DatasetError(f"{where} holds {kind}, not numbers", "write bytes from 0 to 255")
    lows, highs, all_whole = zip(*map(_range, arrays), strict=True)
    low, high, whole = float(np.min(lows)), float(np.max(highs)), all(all_whole)  # NaN if one is among them
    if kind.kind == "f":
        return _scale_of_floats(low, high, whole, where, notes)
    if low < 0:
        what = "signed integers" if kind.itemsize > 1 else "signed bytes"
        hint = "they are most likely unsigned bytes under a wrong type: write them as such"
        raise DatasetError(f"{where} has pixels from {low:g} to {high:g}, in {what}: expected 0, black, to 255, white",
                           hint)  # fmt: skip
    if high == 1:
        notes.append("pixels are 0 and 1: 1 is taken for white")
        return Pixels("uint8", WHITE)
    if high <= 255:
        notes += dark_notes(high)
        return Pixels("uint8")
    if kind.kind == "u" and kind.itemsize == 2:
        notes.append(f"16-bit pixels are scaled to bytes; the brightest is {high:,.0f} of 65,535")
        return Pixels("uint8", WHITE / 65535)
    raise DatasetError(f"{where} has pixels from {low:,.0f} to {high:,.0f}, in integers of {kind.itemsize} bytes: "
                       "which of them is white is not known", "scale them to bytes from 0 to 255")  # fmt: skip


def dark_notes(high: float) -> list[str]:
    """What there is to say of bytes whose brightest is this; nothing where that is bright."""
    what = f"the brightest pixel is {high:g} of 255, so the images are dark: if {high:g} is white, scale them to 0…255"
    return [what] if 0 < high <= DARK else []


def _scale_of_floats(low: float, high: float, whole: bool, where: str, notes: list[str]) -> Pixels:
    if low >= 0 and high <= 1:
        return Pixels("float32")
    if low >= 0 and high <= 255 and whole:
        notes.append("pixels are whole floats from 0 to 255, taken for bytes")
        notes += dark_notes(high)
        return Pixels("uint8")
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        notes.append(f"pixels from {low:.8g} to {high:.8g} are cut to [0, 1]")
        return Pixels("float32", clips=True)
    what = "pixels that are no numbers" if math.isnan(low) else f"pixels from {low:.6g} to {high:.6g}"
    hint = "bring them to [0, 1]: (x + 1) / 2" if -1 - ROUNDING <= low < 0 and high <= 1 + ROUNDING else "scale them"
    raise DatasetError(f"{where} has {what}: expected floats from 0, black, to 1, white",
                       f"{hint}, or write unsigned bytes from 0 to 255")  # fmt: skip


def _range(images: NDArray[Any]) -> tuple[float, float, bool]:
    """The lowest and highest pixel (NaN if one is among them), and whether all are whole numbers."""
    if images.dtype == np.uint8 and not isinstance(images, np.memmap):
        return float(images.min()), float(images.max()), True
    low, high, whole = math.inf, -math.inf, True
    for chunk in looked_at(images):
        lowest, highest = float(chunk.min()), float(chunk.max())
        if math.isnan(lowest):
            return math.nan, math.nan, False
        low, high = min(low, lowest), max(high, highest)
        if whole and chunk.dtype.kind == "f":
            whole = math.isfinite(highest) and bool((chunk == np.rint(chunk)).all())
    return low, high, whole


def looked_at(images: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """All images in chunks, or of a large mapped array `SAMPLED` of them."""
    if isinstance(images, np.memmap) and images.nbytes > ALL_LOOKED_AT:
        yield images[np.linspace(0, len(images) - 1, SAMPLED).astype(np.int64)]
        return
    step = max(1, CHUNK // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        yield images[start : start + step]


def resized(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """An image `(H, W)` or `(H, W, 3)` at another height and width, by Pillow's Lanczos filter over the whole area of
    each new pixel; cut at two edges where its shape is another."""
    from PIL import Image, ImageOps

    if image.dtype == np.uint8:
        fitted = ImageOps.fit(Image.fromarray(image), (size[1], size[0]), Image.Resampling.LANCZOS)
        return np.asarray(fitted)
    planes = image[..., None] if image.ndim == 2 else image
    fitted_planes = [
        np.asarray(ImageOps.fit(Image.fromarray(np.ascontiguousarray(planes[..., at])), (size[1], size[0]),
                                Image.Resampling.LANCZOS))
        for at in range(planes.shape[2])
    ]  # fmt: skip
    joined = np.stack(fitted_planes, axis=2).clip(0, 1)
    return joined[..., 0] if image.ndim == 2 else joined


def with_channels(images: NDArray[Any], channels: int) -> NDArray[Any]:
    """Images `(n, H, W)` or `(n, H, W, 3)` with one channel or three."""
    if channels == 3:
        return np.repeat(images[..., None], 3, axis=3) if images.ndim == 3 else images
    if images.ndim == 3:
        return images
    grey = images.astype(np.float32) @ np.array(LUMA, np.float32)
    return np.ascontiguousarray(np.rint(grey) if images.dtype == np.uint8 else grey.clip(0, 1), images.dtype)
