"""The importance-weighted bound on ln p(x) (Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519).

The likelihood is the one of `elbo_bpd`: p(x|z) = N(p; p̂(z), m·I) with one variance m for all pixels and images, where
p, p̂ are on [0, 1] (p̂ not clipped) and m is the mean squared error a pixel at sampled z, so the one that makes the ELBO
largest. p(z) = N(0, I). Densities are those of pixels on [0, 1], which are not dequantized: for ranking.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.metrics import BATCH, looking
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import squared_error
from tui_vae.core.pixels import normalize


@dataclass(frozen=True)
class Bound:
    """The mean over images, `nats`, of ln((1/K)·Σ p(x|z)·p(z)/q(z|x)), z ~ q(z|x), K = `draws`: below ln p(x).

    bits_per_pixel: the same, negative, on the scale of `elbo_bpd`, which its expectation equals at K = 1.
    variance: m, as given.
    """

    draws: int
    nats: float
    bits_per_pixel: float
    variance: float


def decoder_variance(recon: float, pixels: int) -> float:
    """m on the [0, 1] scale, from `recon`, Σ over pixels of (x̂ - x)² on [-1, 1] at sampled z, mean over images."""
    return recon / (4 * pixels)


@torch.inference_mode()
def importance_weighted_bound(
    model: VAE, images: Tensor, variance: float, draws: int, seed: int, advanced: Callable[[int], None] = lambda _: None
) -> Bound:
    """The bound over images `(N, height, width)` on the model's device, at most 1,000 decoded at once.

    Noise comes from `seed` and the place of an image alone: the draws of a small K are the first of a larger one's.

    Args:
        variance: m of the decoder, see `decoder_variance`. NaN, or one that is not above 0, gives NaN.
        advanced: called with how many images were decoded, after each batch of them.
    """
    pixels = model.pixels
    if not variance > 0 or not math.isfinite(variance):
        return Bound(draws, math.nan, math.nan, variance)
    constant = -0.5 * pixels * math.log(2 * math.pi * variance)
    sums = []
    with looking(model):
        for start, batch in zip(range(0, len(images), BATCH), torch.split(images, BATCH), strict=True):
            generator = torch.Generator(images.device).manual_seed((seed + start) % 2**63)
            x = normalize(batch)
            mu, logvar = model.encode(x)
            scale, log_scale = torch.exp(0.5 * logvar), 0.5 * logvar.sum(dim=1)
            total = torch.full((len(batch),), -math.inf, dtype=torch.float64)
            for _ in range(draws):
                noise = torch.empty_like(mu).normal_(generator=generator)
                z = mu + scale * noise
                # ln p(z) - ln q(z|x): both have the same (2π)^(-½), which cancels.
                ratio = 0.5 * (noise.square() - z.square()).sum(dim=1) + log_scale
                error = squared_error(model.decode(z), x) / 4
                # One image's sums in float32, all images' in float64; on the CPU, as not every device has float64.
                error, ratio = torch.stack([error, ratio]).cpu().double()
                total = torch.logaddexp(total, constant - error / (2 * variance) + ratio)
                advanced(len(batch))
            sums.append(total.sum() - len(batch) * math.log(draws))
    nats = float(torch.stack(sums).sum()) / len(images)
    return Bound(draws, nats, (math.log(255) - nats / pixels) / math.log(2), variance)
