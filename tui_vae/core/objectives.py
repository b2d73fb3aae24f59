"""Objectives: formulas of a distortion of the images and of the KL weighted by β, which training minimizes.

    recon  Σ over the D pixels of (x̂ - x)² on the [-1, 1] scale, z sampled from q(z|x)
    KL     KL(q(z|x) ‖ N(0, I)) in nats an image (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114, appendix B)

`mse` and `sigma` are formulas of recon, KL and β; `bce` has another distortion. All figures are means over images.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from tui_vae.config import RunConfig
from tui_vae.core.models.vae import VAE
from tui_vae.core.pixels import LEAST_VARIANCE

LEAST_SQUARE = 4 * LEAST_VARIANCE
"""`LEAST_VARIANCE` on the [-1, 1] scale. The kernels have it in kernels.h and triton_kernels.py."""

SMALLEST_PROBABILITY = 1e-6
"""Distance of p̂ from 0 and from 1 at least, where the decoder gives p̂ and no logits: so the logits stay finite."""


def squared_error(decoded: Tensor, x: Tensor) -> Tensor:
    """Σ over pixels of (x̂ - x)²: `(N, D)`, `(N, D)` → `(N,)`."""
    return (decoded - x).square().sum(dim=1)


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Σ over pixels of -p·ln p̂ - (1-p)·ln(1-p̂), p = (x+1)/2, p̂ = sigmoid(logit): `(N, D)`, `(N, D)` → `(N,)`.

    It is computed as ln(1 + eˡ) - p·l, which neither overflows nor takes the logarithm of zero. It is the negative log
    likelihood of a Bernoulli decoder for pixels that are black or white (Kingma & Welling 2014, appendix C.1), and a
    convention for grey ones (as in pytorch/examples' VAE).
    """
    return (functional.softplus(logits) - 0.5 * (x + 1) * logits).sum(dim=1)


def logits_of(decoded: Tensor) -> Tensor:
    """x̂ in [-1, 1] → the logits of p̂ = (x̂+1)/2, same shape, for decoders without logits of their own."""
    return torch.logit(0.5 * (decoded + 1), eps=SMALLEST_PROBABILITY)


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each latent dimension, nats: ½·(μ² + σ² - log σ² - 1); all `(N, latent_dim)`."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1.0)


def with_free_bits(kl_dims: Tensor, free: float) -> Tensor:
    """The KL that is minimized: Σ over dimensions of max(λ, mean KL of the dimension), λ = `free` nats.

    `kl_dims` is `(N, latent_dim)`. Kingma et al. 2016, https://arxiv.org/abs/1606.04934, "objective with free bits".
    """
    means = kl_dims.mean(dim=0)
    return means.clamp(min=free).sum() if free > 0 else means.sum()


def total_correlation(z: Tensor, mu: Tensor, logvar: Tensor, train_size: int) -> Tensor:
    """TC = KL(q(z) ‖ Π q(z_j)), nats, estimated from M of N = `train_size` images; q(z) = mean of q(z|x_n) over the N.

    Stratified sampling: q(z_i) ≈ q(z_i|x_i)/N + (1 - 1/N)·mean of q(z_i|x_k) over the batch's other images, and the
    same for each dimension; then the mean of ln q(z_i) - Σ_j ln q(z_ij). Chen et al. 2018, https://arxiv.org/abs/1802.04942,
    section 3 and appendix C.2. Weights: 1/N for the image itself, (1 - 1/N)/(M - 1) for each of the others (the
    paper gives one of these a smaller weight). M = N gives q(z) exactly. A batch of one image, which has no others,
    counts as 0.

    Args:
        z: samples of the posteriors `mu` and `logvar`, all `(M, latent_dim)`.
    """
    count = len(z)
    if count == 1:
        return z.new_zeros(())
    # ln q(z_i|x_k) of dimension j at [i, k, j]
    squares = (z[:, None] - mu[None]).square() * torch.exp(-logvar)[None]
    densities = -0.5 * (squares + logvar[None] + math.log(2 * math.pi))
    own = torch.eye(count, dtype=torch.bool, device=z.device)
    weights = torch.full((count, count), math.log((1 - 1 / train_size) / (count - 1)), dtype=z.dtype, device=z.device)
    weights = weights.masked_fill(own, -math.log(train_size))
    joint = torch.logsumexp(weights + densities.sum(dim=2), dim=1)
    marginals = torch.logsumexp(weights[:, :, None] + densities, dim=1).sum(dim=1)
    return (joint - marginals).mean()


def beta_vae(distortion: Tensor, kl: Tensor, beta: float | Tensor, pixels: int) -> Tensor:
    """Distortion + β·KL (Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl).

    With recon as the distortion, β = 1 is a Gaussian decoder of variance ½, up to a constant.
    """
    return distortion + beta * kl


def sigma_vae(recon: Tensor, kl: Tensor, beta: float | Tensor, pixels: int) -> Tensor:
    """½·D·ln(recon / D) + β·KL: a Gaussian decoder with the one variance that fits the batch best, up to a constant.

    recon / D counts as no less than `LEAST_SQUARE`; below, only the KL is left to learn from. Rybkin, Daniilidis &
    Levine 2021, "Simple and Effective VAE Training with Calibrated Decoders", https://arxiv.org/abs/2006.13202.
    """
    return 0.5 * pixels * torch.log((recon / pixels).clamp(min=LEAST_SQUARE)) + beta * kl


@dataclass(frozen=True)
class Objective:
    """The loss formula(distortion, KL, β, D) + γ·TC, of means over images.

    formula: takes tensors without dimensions; calling an objective calls it. Its derivative by KL is β.
    bernoulli: whether the distortion is `cross_entropy`; else it is recon.
    free_bits: λ of `with_free_bits`, nats.
    tc_weight: γ; KL + γ·TC is the regularizer of β-TCVAE with its β = γ + 1.
    """

    formula: Callable[[Tensor, Tensor, float | Tensor, int], Tensor]
    bernoulli: bool = False
    free_bits: float = 0.0
    tc_weight: float = 0.0

    def __call__(self, distortion: Tensor, kl: Tensor, beta: float | Tensor, pixels: int) -> Tensor:
        """The formula alone, from means over images without dimensions: the loss, without dimensions."""
        return self.formula(distortion, kl, beta, pixels)

    def decode(self, model: VAE, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """z `(N, latent_dim)`, x `(N, D)` → x̂ `(N, D)` on the [-1, 1] scale, and the distortion of each image, `(N,)`.

        Both are float32 also under autocast (float64 stays float64).
        """
        if self.bernoulli and model.has_logits:
            logits = _at_least_float32(model.decode_logits(z))
            return logits.sigmoid() * 2 - 1, cross_entropy(logits, x)
        decoded = _at_least_float32(model.decode(z))
        if self.bernoulli:
            return decoded, cross_entropy(logits_of(decoded), x)
        return decoded, squared_error(decoded, x)

    def loss(
        self,
        distortion: Tensor,
        z: Tensor,
        mu: Tensor,
        logvar: Tensor,
        beta: float | Tensor,
        pixels: int,
        train_size: int,
    ) -> Tensor:
        """The loss of a batch of N out of `train_size` images, without dimensions.

        distortion: `(N,)`. z, mu, logvar: `(N, latent_dim)`. pixels: D.
        """
        kl = with_free_bits(kl_per_dimension(mu, logvar), self.free_bits)
        loss = self.formula(distortion.mean(), kl, beta, pixels)
        if self.tc_weight:
            loss = loss + self.tc_weight * total_correlation(z, mu, logvar, train_size)
        return loss


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


OBJECTIVES = {
    "mse": Objective(beta_vae),
    "sigma": Objective(sigma_vae),
    "bce": Objective(beta_vae, bernoulli=True),
}


def make_objective(config: RunConfig) -> Objective:
    """The objective of a run's configuration."""
    return replace(OBJECTIVES[config.objective], free_bits=config.free_bits, tc_weight=config.tc_weight)
