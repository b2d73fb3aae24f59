"""Latents to decode: from the prior, or from the Gaussian that fits the encoder's z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.metrics import BATCH, normalize, to_unit_interval
from tui_vae.core.model import VAE


@dataclass(frozen=True)
class LatentGaussian:
    """The Gaussian with the mean and covariance of z ~ q(z|x) over a set of images: the aggregate posterior's moments.

    mean: `(latent_dim,)`; factor: lower Cholesky factor of the covariance, `(latent_dim, latent_dim)`; on the CPU.
    """

    mean: Tensor
    factor: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`(count, latent_dim)` float32 on the CPU."""
        noise = torch.randn(count, len(self.mean), generator=generator, dtype=torch.float64)
        return (self.mean + noise @ self.factor.T).float()


@torch.inference_mode()
def posterior(model: VAE, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Images `(N, height, width)` → μ and σ² of q(z|x), `(N, latent_dim)` float64 on the CPU."""
    was_training = model.training
    model.eval()
    mu, logvar = model.encode(normalize(batch))
    model.train(was_training)
    return mu.cpu().double(), logvar.cpu().double().exp()


def gaussian_of(posteriors: Sequence[tuple[Tensor, Tensor]]) -> LatentGaussian:
    """The Gaussian of what `posterior` gave: Cov z = Cov μ + diag(mean σ²), by the law of total variance."""
    mu, variance = (torch.cat(column) for column in zip(*posteriors, strict=True))
    mean = mu.mean(dim=0)
    centred = mu - mean
    covariance = centred.T @ centred / len(mu) + torch.diag(variance.mean(dim=0))
    return LatentGaussian(mean, torch.linalg.cholesky(covariance))


def fit_gaussian(model: VAE, images: Tensor) -> LatentGaussian:
    """Fit over images `(N, height, width)` on the model's device."""
    return gaussian_of([posterior(model, batch) for batch in torch.split(images, BATCH)])


@torch.inference_mode()
def decode(model: VAE, z: Tensor) -> Tensor:
    """z `(N, latent_dim)` → images `(N, D)` in [0, 1]."""
    was_training = model.training
    model.eval()
    images = to_unit_interval(model.decode(z))
    model.train(was_training)
    return images
