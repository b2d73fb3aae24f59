"""Classes of images in messages: their numbers, one byte each, or two, little-endian, where one is above 255."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


def check_labels(data: bytes, count: int) -> None:
    """
    Raises:
        ValueError: these are not the labels of `count` images, which may have none at all.
    """
    if len(data) not in (0, count, 2 * count):
        raise ValueError(f"{len(data)} bytes are not {count} labels")


def decode_labels(data: bytes, count: int) -> Sequence[int]:
    """The classes of `count` images; empty where the images have none.

    Raises:
        ValueError: as `check_labels`.
    """
    check_labels(data, count)
    if len(data) < 2 * count:
        return data
    labels = array("H", data)
    if sys.byteorder == "big":
        labels.byteswap()
    return labels
