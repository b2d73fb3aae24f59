"""The header of an idx file. Quick commands read it without numpy.

The format: two zero bytes, a code of the element type, the number of dimensions, each dimension as a big-endian
unsigned integer of 4 bytes, then the elements, big-endian, rows first (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NamedTuple

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.reading import what_it_is

KINDS = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type code in an idx header → the element type, as numpy names it."""

MOST_DIMENSIONS = 5
"""Dimensions of an array of images, at most."""

BYTES = "u1"
"""The element type of unsigned bytes."""


class Header(NamedTuple):
    """What an idx file says of itself. start: where the elements begin, in bytes."""

    kind: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes of the elements."""
        return math.prod(self.shape) * int(self.kind[-1])


def is_idx(head: bytes) -> bool:
    """Whether a file that begins so is an idx file."""
    return len(head) >= 8 and head[:2] == b"\0\0" and head[2] in KINDS and 1 <= head[3] <= MOST_DIMENSIONS


def parse_header(head: bytes, path: Path) -> Header:
    """The header at the beginning of a file; `path` names it in errors.

    Raises:
        DatasetError: it is no idx file; the message says what it is.
    """
    rank = head[3] if len(head) >= 4 else 0
    start = 4 + 4 * rank
    if not is_idx(head) or len(head) < start:
        what, to_do = what_it_is(head)
        is_what = f"is {what}" if what else f"is not an idx file: it starts with {head[:4].hex(' ')!r}"
        if not head:
            is_what, to_do = "holds nothing, once unpacked", "fetch it again"
        raise DatasetError(f"{path} {is_what}", to_do)
    shape = struct.unpack_from(f">{rank}I", head, 4)
    if 0 in shape:  # beside which other sizes may be larger than numpy allows
        raise DatasetError(f"{path} holds nothing: its sizes are {'×'.join(map(str, shape))}", "name another file")
    return Header(KINDS[head[2]], shape, start)
