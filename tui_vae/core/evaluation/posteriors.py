"""Statistics of the posteriors q(z|x) of a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import BATCH, at_once, encode
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import kl_per_dimension


@dataclass(frozen=True)
class PosteriorStatistics:
    """The posteriors N(μ, σ²) of N images. Per-image tensors are on the model's device, means over images on the CPU.

    mu, logvar: `(N, latent_dim)`. mse: `(N,)` as in `Reconstruction`, or `(0,)` where nothing was decoded.
    mean_variance: mean of σ² over images, `(latent_dim,)` float64.
    kl_per_dim: KL(q(z|x) ‖ N(0, I)) of each dimension, nats, mean over images, `(latent_dim,)` float64.
    """

    mu: Tensor
    logvar: Tensor
    mse: Tensor
    mean_variance: Tensor
    kl_per_dim: Tensor


def posterior_sums(mu: Sequence[Tensor], logvar: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sums over each batch's images of the KL of each dimension, and of σ²: `(batches, latent_dim)` each.

    Args:
        mu, logvar: of each batch, `(n, latent_dim)`.
    """
    kl = [kl_per_dimension(*batch).sum(dim=0) for batch in zip(mu, logvar, strict=True)]
    return torch.stack(kl), torch.stack([batch.exp().sum(dim=0) for batch in logvar])


def mean_over(sums: Tensor, count: int) -> Tensor:
    """The mean over `count` images, float64, of sums over each batch's, `(batches, …)` on the CPU."""
    # Sums over a batch are float32, the sum of batches is float64; on the CPU, as not every device has float64.
    return sums.double().sum(dim=0) / count


def posterior_statistics(
    mu: Sequence[Tensor], logvar: Sequence[Tensor], mse: Sequence[Tensor] = ()
) -> PosteriorStatistics:
    """The statistics of a set of images whose posteriors come in batches.

    Args:
        mu, logvar: of each batch, `(n, latent_dim)`.
        mse: of each batch, `(n,)`; empty where nothing was decoded.
    """

    count = sum(map(len, mu))
    kl_per_dim, mean_variance = (mean_over(sums, count) for sums in torch.stack(posterior_sums(mu, logvar)).cpu())
    errors = torch.cat(list(mse)) if mse else mu[0].new_zeros(0)
    return PosteriorStatistics(torch.cat(list(mu)), torch.cat(list(logvar)), errors, mean_variance, kl_per_dim)


def encode_posteriors(model: VAE, images: Tensor) -> PosteriorStatistics:
    """The statistics of images `(N, …)`, which go to the model's device in batches; nothing is decoded."""
    device, size = next(model.parameters()).device, at_once(BATCH, model.pixels)
    mu, logvar = zip(*(encode(model, batch.to(device)) for batch in torch.split(images, size)), strict=True)
    return posterior_statistics(mu, logvar)
