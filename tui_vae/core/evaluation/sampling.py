"""Latents to decode: from the prior, or from the Gaussian that fits the encoder's z."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.metrics import BATCH, Survey, encode, looking, survey_of
from tui_vae.core.models.vae import VAE
from tui_vae.core.pixels import to_unit_interval


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


def gaussian_of(found: Survey) -> LatentGaussian:
    """The Gaussian of the images looked at: Cov z = Cov μ + diag(mean σ²), by the law of total variance.

    Raises:
        RuntimeError: there is none, as the encoder's numbers are not finite.
    """
    mu = found.mu.cpu().double()
    mean = mu.mean(dim=0)
    centred = mu - mean
    covariance = centred.T @ centred / len(mu) + torch.diag(found.variance)
    return LatentGaussian(mean, torch.linalg.cholesky(covariance))


def fit_gaussian(model: VAE, images: Tensor) -> LatentGaussian:
    """Fit over images `(N, height, width)` on the model's device; raises as `gaussian_of`."""
    mu, logvar = zip(*(encode(model, batch) for batch in torch.split(images, BATCH)), strict=True)
    return gaussian_of(survey_of(mu, logvar, ()))


@torch.inference_mode()
def decode(model: VAE, z: Tensor) -> Tensor:
    """z `(N, latent_dim)` → images `(N, D)` in [0, 1]."""
    with looking(model):
        return to_unit_interval(model.decode(z))
