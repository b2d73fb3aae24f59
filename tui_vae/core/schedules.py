"""Schedules of the learning rate and of β: factors of their highest values, as functions of the step."""

from __future__ import annotations

import math

WARM_SHARE = 0.1
"""The share of the steps in which `one-cycle` rises."""

START_DIVISOR, END_DIVISOR = 25.0, 25e4
"""`one-cycle` starts and ends at the highest learning rate divided by these: the defaults of PyTorch's OneCycleLR."""


def factor(schedule: str, progress: float) -> float:
    """The learning rate's factor at `progress`, the share of the planned steps that are done, in [0, 1].

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


def beta_share(step: int, warmup: float, cycles: int, planned: int) -> float:
    """The share of β that is in force after `step` steps, in [0, 1].

    It rises linearly from 0 to 1 over the first `warmup` steps (KL annealing: Bowman et al. 2016,
    https://arxiv.org/abs/1511.06349). With more than one cycle it does so `cycles` times in the `planned` steps: each
    time it rises over `warmup` steps, or over half a cycle where that is 0, and then stays at 1 (cyclical annealing: Fu
    et al. 2019, https://arxiv.org/abs/1903.10145, with R = ½). Beyond the planned steps it is 1.
    """
    if cycles > 1:
        if step >= planned:
            return 1.0
        step_in_cycle = step * cycles % planned / cycles
        return min(1.0, step_in_cycle / (warmup or planned / cycles / 2))
    return min(1.0, step / warmup) if warmup > 0 else 1.0


def _anneal(start: float, end: float, share: float) -> float:
    """From `start` at share 0 to `end` at share 1, along half a cosine wave."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
