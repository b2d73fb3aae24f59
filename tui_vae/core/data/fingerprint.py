"""What identifies the images of a run, whatever their files are called: SHA-1 over pixels and labels."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_HASHED = 1 << 30
"""Bytes of images up to which all are hashed; of more, so many, evenly spaced: a large set still loads at once."""

CHUNK = 4096
"""Images that are hashed at once."""


def fingerprint_of(*parts: tuple[NDArray[Any], NDArray[Any] | None]) -> str:
    """The fingerprint of the images and labels of some parts, 40 hexadecimal digits.

    Two sets have the same one if their images and labels are the same (see `MOST_HASHED`), in the same order.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for images, labels in parts:
        digest.update(f"{images.dtype.str}{images.shape}{labels is not None}".encode())
        fits = max(1, MOST_HASHED // max(1, images[:1].nbytes))
        rows = None if len(images) <= fits else np.linspace(0, len(images) - 1, fits).astype(np.int64)
        for start in range(0, min(len(images), fits), CHUNK):
            stop = start + CHUNK
            digest.update(np.ascontiguousarray(images[start:stop] if rows is None else images[rows[start:stop]]).data)
        if labels is not None:
            digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
