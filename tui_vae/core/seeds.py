"""Seeds derived from a run's seed, and the order of an epoch's images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def derived_seed(*numbers: int) -> int:
    """A seed `< 2**63` made of several numbers, such as (seed, epoch).

    numpy's `SeedSequence` mixes the numbers, so that neighbouring seeds and epochs give unrelated streams.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the training images in an epoch, `(count,)` int64.

    It depends on (seed, epoch) alone, so that a run resumes without the state of a shuffle.
    """
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(seed, epoch)))
