"""Rows of a mapped file in any order: from a copy in memory where there is much room, else read before they are needed.

A row that is not in memory is otherwise read as it is touched, one page after another, each with so many of its
neighbours as the disk's settings say (8 MiB on some machines), which are gone again before anybody needs them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_vae.main_memory import free_main_memory

SHARE_OF_MEMORY = 0.5
"""The share of the free memory up to which a mapped file is left to the kernel, which reads it once and keeps it."""

SHARE_TO_COPY = 0.1
"""The share of the free memory up to which a mapped file is copied."""

ReadAhead = Callable[[Iterable[int]], None]
"""Takes rows that will be needed soon."""


def nothing_ahead(rows: Iterable[int]) -> None:
    """For arrays that are in memory."""


def in_large_pages(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of a small array that lies in a mapped file or in another's memory than numpy's, else the array itself.

    Such memory has pages of 4 KiB. The processor has to find the page of each row that is not near the one before: in a
    virtual machine that took 1 to 3 µs, and gathering a batch a tenth of its step. numpy asks the kernel for pages of
    2 MiB.
    """
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if owner.base is None or array.nbytes > SHARE_TO_COPY * free_main_memory():
        return array
    copy = np.array(array)
    mapped = getattr(array, "_mmap", None)  # numpy's; None of an array in memory
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)  # the file stays in the kernel's cache, for others
    return copy


def read_ahead_of(array: NDArray[Any]) -> ReadAhead:
    """What tells the kernel of rows that will be needed; it reads them while others are worked on.

    Rows of such an array are taken to be needed in any order: their neighbours are not read with them any more.
    """
    mapped = getattr(array, "_mmap", None)  # numpy's; None of a copy
    if mapped is None or not hasattr(mmap, "MADV_WILLNEED") or array.nbytes <= SHARE_OF_MEMORY * free_main_memory():
        return nothing_ahead
    start = array.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
    size = array.strides[0]

    def tell(rows: Iterable[int]) -> None:
        for row in rows:
            begin = start + row * size
            page = begin - begin % mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, page, begin + size - page)

    with suppress(OSError):  # of a file system that knows no such advice
        mapped.madvise(mmap.MADV_RANDOM)
        tell([0])
        return tell
    return nothing_ahead
