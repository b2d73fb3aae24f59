"""The Gaussian that fits the encoder's z over a set of images: where samples are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.posteriors import PosteriorStatistics


@dataclass(frozen=True)
class LatentGaussian:
    """A Gaussian over latents; float64, on the CPU.

    mean: `(latent_dim,)`. factor: lower Cholesky factor of the covariance, `(latent_dim, latent_dim)`.
    """

    mean: Tensor
    factor: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` samples, `(count, latent_dim)` float32 on the CPU. The generator is one of the CPU."""
        noise = torch.randn(count, len(self.mean), generator=generator, dtype=torch.float64)
        return (self.mean + noise @ self.factor.T).float()


def standard_gaussian(latent_dim: int) -> LatentGaussian:
    """The prior, N(0, I)."""
    return LatentGaussian(torch.zeros(latent_dim, dtype=torch.float64), torch.eye(latent_dim, dtype=torch.float64))


def fit_gaussian(statistics: PosteriorStatistics, chosen: Tensor | None = None) -> LatentGaussian:
    """The Gaussian with the mean and covariance of the aggregate posterior, z ~ q(z|x) over the images.

    Cov z = Cov μ + diag(mean σ²), by the law of total variance.

    Args:
        chosen: indices of the images that it is fitted to, one at least; None: all.

    Raises:
        RuntimeError: the encoder's numbers are not finite, so that no Gaussian fits.
    """
    mu, variance = statistics.mu.cpu().double(), statistics.mean_variance
    if chosen is not None:
        mu, variance = mu[chosen], statistics.logvar.cpu().double()[chosen].exp().mean(dim=0)
    mean = mu.mean(dim=0)
    centred = mu - mean
    covariance = centred.T @ centred / len(mu) + torch.diag(variance)
    return LatentGaussian(mean, torch.linalg.cholesky(covariance))
