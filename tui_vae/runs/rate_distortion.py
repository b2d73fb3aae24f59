"""The rate and the distortion of an evaluation, whose sum is the negative ELBO (Alemi et al. 2018,
https://arxiv.org/abs/1711.00464)."""

from __future__ import annotations

import math


def rate_distortion(elbo_bpd: float | None, kl: float | None, pixels: int | None) -> tuple[float, float] | None:
    """The rate, which is the KL, and the distortion, -E ln p(x|z), both in nats an image; None where one is not finite.

    The likelihood is that of `elbo_bpd`: the Gaussian decoder whose one variance fits best, on grey levels from 0 to
    255, whatever the objective. So all objectives and β can stand in one plane, and rate + distortion =
    `elbo_bpd`·D·ln 2.

    Args:
        pixels: D, of an image in all its channels; None where the log does not say it.
    """
    if elbo_bpd is None or kl is None or not pixels or not math.isfinite(elbo_bpd) or not math.isfinite(kl):
        return None
    return kl, elbo_bpd * pixels * math.log(2) - kl
