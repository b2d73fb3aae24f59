"""The plane through the latent space along the two principal directions of the posterior means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PrincipalPlane:
    """A point `(a, b)` of the plane is the latent `origin + a·directions[0] + b·directions[1]`. All float64.

    origin: `(latent_dim,)`. directions: `(2, latent_dim)`, orthonormal; the second is zero if there is only one latent
    dimension. explained: share of the posterior means' variance along each direction, in [0, 1].
    """

    origin: Tensor
    directions: Tensor
    explained: tuple[float, float]

    def project(self, mu: Tensor) -> Tensor:
        """Latents `(N, latent_dim)` float64 → their points, `(N, 2)`."""
        return (mu - self.origin) @ self.directions.T


def principal_plane(mu: Tensor) -> PrincipalPlane:
    """The plane of the first two principal directions of `mu` `(N, latent_dim)`; up to two dimensions, the whole space.

    Each direction points to where its largest component is positive, so that its sign is the same in every call.
    """
    mu = mu.double()
    total = float(mu.var(dim=0, correction=0).sum()) or 1.0
    if mu.shape[1] <= 2:
        directions = torch.eye(2, mu.shape[1], dtype=mu.dtype)
        variances = [*(mu.var(dim=0, correction=0) / total).tolist(), 0.0]
        return PrincipalPlane(torch.zeros_like(mu[0]), directions, (variances[0], variances[1]))
    origin = mu.mean(dim=0)
    centred = mu - origin
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(mu))
    directions = vectors.flip(1)[:, :2].T
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    directions = directions * largest.sign()
    first, second = (values.flip(0)[:2] / total).tolist()
    return PrincipalPlane(origin, directions, (first, second))
