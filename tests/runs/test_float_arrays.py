"""Float arrays in messages, between the standard library and numpy."""

import struct
import sys
from array import array

import numpy as np
import pytest

from tui_vae.runs.float_arrays import decode_floats, encode_floats

VALUES = [0.0, -1.5, 3.0e38, float("inf"), 1 / 3]


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_numbers_travel_as_little_endian_float32(byteorder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    native = array("f", VALUES)
    if byteorder != sys.byteorder:
        native.byteswap()  # as that machine holds them in memory
    monkeypatch.setattr(sys, "byteorder", byteorder)
    expected = struct.pack("<5f", *VALUES)
    assert encode_floats(native) == expected
    assert decode_floats(expected) == native


def test_a_matrix_of_numpy_travels_row_by_row() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert encode_floats(matrix.data) == struct.pack("<6f", 0, 3, 1, 4, 2, 5)
    assert np.frombuffer(decode_floats(encode_floats(matrix.data)), np.float32).tolist() == [0, 3, 1, 4, 2, 5]
    assert encode_floats(np.zeros((0, 3), np.float32).data) == b""


def test_other_numbers_and_torn_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="'d'"):
        encode_floats(array("d", [1.0]))
    with pytest.raises(ValueError):
        decode_floats(b"12345")
