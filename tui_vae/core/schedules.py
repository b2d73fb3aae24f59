"""The course of the learning rate: a factor of its highest value, from progress in [0, 1]."""

from __future__ import annotations

import math

WARM_SHARE, START_DIVISOR, END_DIVISOR = 0.1, 25.0, 25e4


def factor(schedule: str, progress: float) -> float:
    """The factor at `progress`, the share of the planned steps already done.

    `constant`: 1. `cosine`: from 1 to 0 (Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983).
    `one-cycle`: from 1/25 up to 1 over the first tenth, down to 1/250,000 at the end, along cosines
    (Smith & Topin 2018, https://arxiv.org/abs/1708.07120, as torch.optim.lr_scheduler.OneCycleLR does it).
    """
    progress = min(max(progress, 0.0), 1.0)
    if schedule == "cosine":
        return _anneal(1.0, 0.0, progress)
    if schedule == "one-cycle":
        if progress < WARM_SHARE:
            return _anneal(1 / START_DIVISOR, 1.0, progress / WARM_SHARE)
        return _anneal(1.0, 1 / END_DIVISOR, (progress - WARM_SHARE) / (1 - WARM_SHARE))
    return 1.0


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
