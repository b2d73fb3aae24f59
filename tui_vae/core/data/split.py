"""The part that is set aside as the test set where the source has none: stated, seeded, and stratified by class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 0
"""The seed of every split: runs with other seeds of their own are compared on the same test images."""


def split_rows(
    count: int, labels: NDArray[np.int64] | None, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the training part and of the test part, both ascending, of `count` images.

    `share` of all images is set aside, of every class as near that share as whole numbers allow (by the largest
    remainders), but never all images of a class; at least one image, and never all. One image alone is in both parts.

    Args:
        labels: `(count,)` any integers; None for images without classes.
        share: between 0 and 1.
    """
    if count == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64)
    # RandomState, since numpy promises that its streams never change; those of Generator may.
    order = np.random.RandomState(SEED).permutation(count)
    total = min(count - 1, max(1, round(count * share)))
    if labels is None:
        test = order[:total]
    else:
        _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        quota = _quotas(sizes, total)
        shuffled = codes[order]
        by_class = np.argsort(shuffled, kind="stable")
        rank = np.empty(count, np.int64)  # of each image among those of its class, in the shuffled order
        rank[by_class] = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        test = order[rank < quota[shuffled]]
    chosen = np.zeros(count, bool)
    chosen[test] = True
    return np.flatnonzero(~chosen).astype(np.int64), np.flatnonzero(chosen).astype(np.int64)


def _quotas(sizes: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """How many of each class are set aside, `total` in all where the classes allow it."""
    exact = sizes * (total / sizes.sum())
    most = np.maximum(sizes - 1, 0)
    quota = np.minimum(np.floor(exact).astype(np.int64), most)
    for at in np.argsort(-(exact - quota), kind="stable"):
        if quota.sum() >= total:
            break
        if quota[at] < most[at]:
            quota[at] += 1
    if quota.sum() == 0:  # every class has one image: the last of them is set aside
        quota[np.argmax(sizes)] = 1
    found: NDArray[np.int64] = quota
    return found
