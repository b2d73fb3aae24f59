"""Whether the parts of a reply fit each other."""

from __future__ import annotations

import math

from tui_vae.runs.float_arrays import FLOAT_BYTES


def check_images(images: bytes, count: int, width: int, channels: int = 1) -> None:
    """
    Raises:
        ValueError: these are not `count` images of one size, `width` pixels wide or, where that is 0, square.
    """
    if channels not in (1, 3):
        raise ValueError(f"images of {channels} channels")
    size, rest = divmod(len(images), count * channels) if count > 0 else (0, len(images))
    whole = size % width == 0 if width > 0 else width == 0 and math.isqrt(size) ** 2 == size
    if rest or not whole or (count and not size):
        raise ValueError(f"{len(images)} bytes are not {count} images of width {width}")


def check_floats(data: bytes, count: int) -> None:
    """
    Raises:
        ValueError: these bytes are not `count` float32 numbers.
    """
    if len(data) != FLOAT_BYTES * count:
        raise ValueError(f"{len(data)} bytes are not {count} numbers")


def check_length(values: bytes | tuple[object, ...], count: int) -> None:
    """
    Raises:
        ValueError: these are not `count` values.
    """
    if len(values) != count:
        raise ValueError(f"{len(values)} values for {count}")
