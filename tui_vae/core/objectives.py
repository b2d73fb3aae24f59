"""What is minimized. Each objective is a formula in recon, KL and β, the means over images that DESIGN.md defines.

    recon  Σ over the D pixels of (x̂ - x)² on the [-1, 1] scale, z sampled from q(z|x)
    KL     KL(q(z|x) ‖ N(0, I)) in nats an image (Kingma & Welling 2014, appendix B)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def squared_error(decoded: Tensor, x: Tensor) -> Tensor:
    """Σ over pixels of (x̂ - x)²: `(N, D)`, `(N, D)` → `(N,)`."""
    return (decoded - x).square().sum(dim=1)


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each latent dimension, nats: ½·(μ² + σ² - log σ² - 1); all `(N, latent_dim)`."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1.0)


def beta_vae(recon: Tensor, kl: Tensor, beta: float | Tensor, pixels: int) -> Tensor:
    """recon + β·KL (Higgins et al. 2017; β = 1 is a Gaussian decoder of variance ½, up to a constant)."""
    return recon + beta * kl


def sigma_vae(recon: Tensor, kl: Tensor, beta: float | Tensor, pixels: int) -> Tensor:
    """½·D·ln(recon / D) + β·KL: a Gaussian decoder with the one variance that fits the batch best, up to a constant.

    Rybkin, Daniilidis & Levine 2021, "Simple and Effective VAE Training with Calibrated Decoders",
    https://arxiv.org/abs/2006.13202.
    """
    return 0.5 * pixels * torch.log(recon / pixels) + beta * kl


Objective = Callable[[Tensor, Tensor, float | Tensor, int], Tensor]
OBJECTIVES: dict[str, Objective] = {"mse": beta_vae, "sigma": sigma_vae}


def with_free_bits(kl_dims: Tensor, free: float) -> Tensor:
    """The KL that is minimized: Σ over dimensions of max(λ, mean KL of the dimension), λ = `free` nats.

    `kl_dims` is `(N, latent_dim)`. Kingma et al. 2016, https://arxiv.org/abs/1606.04934, equation 15.
    """
    means = kl_dims.mean(dim=0)
    return means.clamp(min=free).sum() if free > 0 else means.sum()
