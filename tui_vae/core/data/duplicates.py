"""Images that are the same, pixel for pixel, within a part and across the split."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Duplicates(NamedTuple):
    """Numbers of images. train, test: those that equal an earlier one of their part; across: test images that are
    among the training images too."""

    train: int
    test: int
    across: int


def across_note(same: Duplicates, train: int, test: int) -> str:
    """What there is to say of images in both parts, of which there are so many; nothing where all images are the same,
    or the only one is in both."""
    all_same = train > 1 and same.train == train - 1 and same.across == test
    if not same.across or all_same or train == test == 1:
        return ""
    what = "test images are" if same.across > 1 else "test image is"
    return f"{same.across:,} {what} among the training images too, pixel for pixel"


def count_duplicates(train: NDArray[Any], test: NDArray[Any]) -> Duplicates:
    """Count equal images by 128 bits of BLAKE2b of each."""
    of_train, of_test = _digests(train), _digests(test)
    known = set(of_train)
    return Duplicates(
        len(of_train) - len(known), len(of_test) - len(set(of_test)), sum(digest in known for digest in of_test)
    )


def _digests(images: NDArray[Any]) -> list[bytes]:
    return [hashlib.blake2b(image, digest_size=16).digest() for image in images]
