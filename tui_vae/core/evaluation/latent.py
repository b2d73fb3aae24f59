"""The latent space as a plane to walk on: the two main directions of the posterior means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.metrics import BATCH, encode
from tui_vae.core.models.vae import VAE


@dataclass(frozen=True)
class Plane:
    """A point `(a, b)` of the plane is the latent `origin + a·directions[0] + b·directions[1]`.

    origin: `(latent_dim,)`; directions: `(2, latent_dim)`, orthonormal (the second is zero if there is one dimension
    only); explained: share of the posterior means' variance along each, in [0, 1].
    """

    origin: Tensor
    directions: Tensor
    explained: tuple[float, float]

    def project(self, mu: Tensor) -> Tensor:
        """`(N, latent_dim)` → `(N, 2)`."""
        return (mu - self.origin) @ self.directions.T


def principal_plane(mu: Tensor) -> Plane:
    """The plane of the first two principal directions of `mu` `(N, latent_dim)`; with two dimensions, the space itself.

    Each direction points to where its largest component is positive, so that the picture does not flip between calls.
    """
    mu = mu.double()
    total = float(mu.var(dim=0, correction=0).sum()) or 1.0
    if mu.shape[1] <= 2:
        directions = torch.eye(2, mu.shape[1], dtype=mu.dtype)
        variances = [*(mu.var(dim=0, correction=0) / total).tolist(), 0.0]
        return Plane(torch.zeros_like(mu[0]), directions, (variances[0], variances[1]))
    origin = mu.mean(dim=0)
    centred = mu - origin
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(mu))
    directions = vectors.flip(1)[:, :2].T
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    directions = directions * largest.sign()
    first, second = (values.flip(0)[:2] / total).tolist()
    return Plane(origin, directions, (first, second))


def posterior_means(model: VAE, images: Tensor) -> Tensor:
    """Images `(N, height, width)` → μ `(N, latent_dim)` on the CPU."""
    return torch.cat([encode(model, part)[0] for part in torch.split(images, BATCH)]).cpu()
