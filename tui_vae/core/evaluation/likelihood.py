"""The importance-weighted bound on ln p(x) (Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519).

The likelihood is the one of `elbo_bpd`: p(x|z) = N(p; p̂(z), m·I) with one variance m for all pixels and images, where
p and p̂ are on [0, 1] (p̂ not clipped) and m is the mean squared error of a pixel at sampled z: the variance that makes
the ELBO largest, or that of a grey level's rounding where that is more. p(z) = N(0, I). Densities are of pixels on
[0, 1], which are not dequantized: for ranking.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import BATCH, at_once, evaluation_mode
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import squared_error
from tui_vae.core.pixels import LEAST_VARIANCE, normalize

SEEDS = 2**63
"""Seeds from 0 on that PyTorch's generators take."""


@dataclass(frozen=True)
class Bound:
    """The bound with K = `draws` samples of z ~ q(z|x) an image, on average below ln p(x).

    nats: mean over images of ln((1/K)·Σ p(x|z)·p(z)/q(z|x)).
    bits_per_pixel: its negative on the scale of `elbo_bpd`; at K = 1 its expectation is `elbo_bpd`
        where `variance` is the mean squared error.
    variance: m, as given.
    """

    draws: int
    nats: float
    bits_per_pixel: float
    variance: float


def decoder_variance(recon: float, pixels: int) -> float:
    """m on the [0, 1] scale, from `recon`: Σ over the D = `pixels` pixels of (x̂ - x)² on [-1, 1], mean over images.

    It is no less than `LEAST_VARIANCE`, and NaN where `recon` is.
    """
    found = recon / (4 * pixels)
    return LEAST_VARIANCE if found < LEAST_VARIANCE else found


@torch.inference_mode()
def importance_weighted_bound(
    model: VAE, images: Tensor, variance: float, draws: int, seed: int, report: Callable[[int], None] = lambda _: None
) -> Bound:
    """The bound over images `(N, …)` on the model's device, which decodes at most `BATCH` at once.

    An image's noise depends on `seed` and its place alone: the draws of a small K are the first ones of a larger K.

    Args:
        variance: m of the decoder, see `decoder_variance`. The bound is NaN where m is NaN or not above 0.
        draws: K, at least 1.
        report: called after each batch with the number of images that were decoded.
    """
    pixels = model.pixels
    if not variance > 0 or not math.isfinite(variance):
        return Bound(draws, math.nan, math.nan, variance)
    constant = -0.5 * pixels * math.log(2 * math.pi * variance)
    sums = []
    with evaluation_mode(model):
        size = at_once(BATCH, pixels)
        for start, batch in zip(range(0, len(images), size), torch.split(images, size), strict=True):
            generator = torch.Generator(images.device).manual_seed((seed + start) % SEEDS)
            x = normalize(batch)
            mu, logvar = model.encode(x)
            scale, log_scale = torch.exp(0.5 * logvar), 0.5 * logvar.sum(dim=1)
            total = torch.full((len(batch),), -math.inf, dtype=torch.float64)
            for _ in range(draws):
                noise = torch.empty_like(mu).normal_(generator=generator)
                z = mu + scale * noise
                # ln p(z) - ln q(z|x): the factor (2π)^(-½) of each dimension is in both and cancels.
                ratio = 0.5 * (noise.square() - z.square()).sum(dim=1) + log_scale
                error = squared_error(model.decode(z), x) / 4
                # Sums over pixels are float32, those over images float64; on the CPU, as not every device has float64.
                error, ratio = torch.stack([error, ratio]).cpu().double()
                total = torch.logaddexp(total, constant - error / (2 * variance) + ratio)
                report(len(batch))
            sums.append(total.sum() - len(batch) * math.log(draws))
    nats = float(torch.stack(sums).sum()) / len(images)
    return Bound(draws, nats, (math.log(255) - nats / pixels) / math.log(2), variance)
