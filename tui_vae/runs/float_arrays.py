"""Arrays of numbers in messages: little-endian float32, one after another, on every machine."""

from __future__ import annotations

import sys
from array import array

FLOAT_BYTES = 4
"""Bytes of one number."""


def encode_floats(values: array[float] | memoryview) -> bytes:
    """The bytes that travel, from float32 numbers of this machine.

    Args:
        values: `array("f", …)`, or the buffer of a numpy array (`.data`); rows of a matrix come one after another.

    Raises:
        ValueError: the numbers are not float32.
    """
    view = memoryview(values)
    if view.format != "f":
        raise ValueError(f"expected float32 numbers, whose buffer format is 'f', not {view.format!r}")
    return _swap_on_big_endian(array("f", view.tobytes())).tobytes()


def decode_floats(data: bytes) -> array[float]:
    """The numbers in bytes that travelled. numpy and torch read the array without a copy (`frombuffer`).

    Raises:
        ValueError: the length is not a multiple of `FLOAT_BYTES`.
    """
    return _swap_on_big_endian(array("f", data))


def _swap_on_big_endian(values: array[float]) -> array[float]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
