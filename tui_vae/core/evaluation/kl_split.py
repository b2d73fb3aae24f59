"""The mean KL(q(z|x) ‖ p(z)) split into three parts, and the aggregated posterior of each dimension.

    KL = index-code mutual information + total correlation + dimension-wise KL
       = E_n KL(q(z|n) ‖ q(z))        + KL(q(z) ‖ Π q(z_j))  + Σ_j KL(q(z_j) ‖ p(z_j))

with q(z) = (1/N)·Σ q(z|n) over N images (Hoffman & Johnson 2016, "ELBO surgery"; Chen et al. 2018,
https://arxiv.org/abs/1802.04942, section 3). q(z) and q(z_j) are the whole mixtures over the N images, with no weights
of minibatches. The dimension-wise KL is a quadrature; the mutual information is a Monte Carlo mean, which is unbiased
for these N images; the total correlation is what is left of the KL.

As estimates for the distribution that the images come from they are biased: the mutual information of N images is at
most ln N, so where it comes near that it is too low, and the other two, whose sum is KL(q(z) ‖ p(z)), are together too
high by as much.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.objectives import kl_per_dimension

PART = 2**23
"""Multiplications between two yields, about: 5 to 10 ms of a CPU core."""

COST = 16
"""Multiplications that take as long as a point of one image's density."""

MOST_IMAGES = 20_000
"""Images of the mixture, at most: of more, every second one, every third and so on. Memory and time grow with them."""

TAILS = 7.0
"""Standard deviations beyond the outermost means at which a quadrature ends: 1e-12 of a Gaussian lies outside."""

NARROW = 0.01
"""The share of the images whose posteriors may be narrower than the one that a quadrature's step is made for: their
errors, below 1 % of their own densities, are of all signs."""

STEPS_A_DEVIATION = 0.8
"""Points of a quadrature to that one's standard deviation. The trapezoidal rule of a Gaussian is then exact to 6e-6,
that of q·ln q in measurements to 1e-5."""

MOST_POINTS = 4096
"""Points of a dimension's quadrature, at most: it is coarser where one image's posterior is very narrow."""

SHOWN_POINTS = 96
"""Points, and bins of means, of a dimension that is shown: twice the columns of dots of its plot."""

LEAST_REACH = 3.5
"""Where a plot of a dimension ends, at least: 0.05 % of the prior lie beyond."""

SHOWN_TAIL = 0.001
"""The share of the aggregated posterior that a plot may leave out at each end."""


@dataclass(frozen=True)
class Marginals:
    """The aggregated posterior q(z_j) of each dimension, and the histogram of its means; float64 on the CPU.

    low, high: where each dimension's axis begins and ends, `(latent_dim,)`.
    density: q(z_j) at `SHOWN_POINTS` points from low to high, both among them, `(latent_dim, SHOWN_POINTS)`.
    means: the density of the posterior means in as many bins of equal width, `(latent_dim, SHOWN_POINTS)`.
    """

    low: Tensor
    high: Tensor
    density: Tensor
    means: Tensor


@dataclass(frozen=True)
class KlSplit:
    """The parts of the mean KL of N = `images` posteriors, in nats; see the module for their bias.

    kl: the mean KL itself, the sum of the three parts.
    mutual_information: at most ln N. standard_error: of its Monte Carlo mean over `draws` samples of z, and of the
        total correlation's.
    per_dimension: KL(q(z_j) ‖ N(0, 1)) of each dimension, `(latent_dim,)` float64 on the CPU.
    """

    images: int
    draws: int
    kl: float
    mutual_information: float
    total_correlation: float
    standard_error: float
    per_dimension: Tensor
    marginals: Marginals

    @property
    def dimension_wise(self) -> float:
        """Σ_j KL(q(z_j) ‖ N(0, 1))."""
        return float(self.per_dimension.sum())

    @property
    def most_information(self) -> float:
        """ln N: no mutual information with the index of one of N images is larger."""
        return math.log(self.images)


def split_kl(mu: Tensor, logvar: Tensor, draws: int, seed: int) -> KlSplit:
    """The split of posteriors `mu`, `logvar`, both `(N, latent_dim)`, at once; see `split_kl_in_parts`."""
    parts = split_kl_in_parts(mu, logvar, draws, seed)
    while True:
        try:
            next(parts)
        except StopIteration as end:
            found: KlSplit = end.value
            return found


def split_kl_in_parts(mu: Tensor, logvar: Tensor, draws: int, seed: int) -> Generator[None, None, KlSplit]:
    """The split of posteriors, both `(N, latent_dim)`. Yields every few milliseconds of work.

    Args:
        draws: samples of z, each of another image, at most N of them.
        seed: of the choice of those images and of their noise.

    Raises:
        RuntimeError: the numbers are not finite.
    """
    every = -(-len(mu) // MOST_IMAGES)
    # Exact to more digits than float32 has: squares of means over variances cancel. Metal has no float64.
    device = torch.device("cpu") if mu.device.type == "mps" else mu.device
    mu, logvar = (values[::every].to(device).double() for values in (mu, logvar))
    if not bool((mu.isfinite() & logvar.isfinite()).all()):
        raise RuntimeError("the encoder's numbers are not finite")
    per_dimension, marginals = yield from _marginals(mu, logvar)
    kl = float(kl_per_dimension(mu, logvar).sum(dim=1).mean())
    terms = yield from _information(mu, logvar, min(draws, len(mu)), seed)
    information = float(terms.mean())
    return KlSplit(
        images=len(mu), draws=len(terms), kl=kl, mutual_information=information,
        total_correlation=kl - information - float(per_dimension.sum()),
        standard_error=float(terms.std(correction=0)) / math.sqrt(len(terms)),
        per_dimension=per_dimension, marginals=marginals,
    )  # fmt: skip


def _information(mu: Tensor, logvar: Tensor, draws: int, seed: int) -> Generator[None, None, Tensor]:
    """ln q(z|n) - ln q(z) of a sample z ~ q(z|n) of `draws` images n, `(draws,)` float64 on the CPU."""
    count, latent_dim = mu.shape
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(count, generator=generator)[:draws].to(mu.device)
    noise = torch.randn(draws, latent_dim, generator=generator, dtype=torch.float64).to(mu.device)
    z = mu[chosen] + torch.exp(0.5 * logvar[chosen]) * noise
    # Of ln q(z|n) = -½·Σ_j ((z_j - μ_nj)²/σ²_nj + ln σ²_nj + ln 2π) the last term cancels. The squares as products of
    # matrices: z²·(1/σ²) - 2·z·(μ/σ²) + μ²/σ².
    precision = torch.exp(-logvar)
    weighted, constant = mu * precision, (mu.square() * precision + logvar).sum(dim=1)
    found = []
    for rows in torch.split(torch.arange(draws), max(1, PART // (count * latent_dim))):
        part = z[rows.to(z.device)]
        logs = -0.5 * (part.square() @ precision.T - 2 * (part @ weighted.T) + constant)
        own = logs.gather(1, chosen[rows.to(z.device), None])[:, 0]
        found.append((own - torch.logsumexp(logs, dim=1) + math.log(count)).cpu())
        yield
    return torch.cat(found)


def _marginals(mu: Tensor, logvar: Tensor) -> Generator[None, None, tuple[Tensor, Marginals]]:
    """KL(q(z_j) ‖ N(0, 1)) of each dimension by quadrature, `(latent_dim,)`, and what is shown of q(z_j)."""
    found, shown = [], []
    for centres, logs in zip(mu.T.contiguous(), logvar.T.contiguous(), strict=True):
        deviations = torch.exp(0.5 * logs)
        low = float((centres - TAILS * deviations).min())
        high = float((centres + TAILS * deviations).max())
        narrow = float(deviations.quantile(NARROW)) if len(deviations) > 1 / NARROW else float(deviations.min())
        points = math.ceil((high - low) / narrow * STEPS_A_DEVIATION)
        grid = torch.linspace(low, high, max(SHOWN_POINTS, min(points, MOST_POINTS)), dtype=torch.float64)
        densities = []
        # float32, in a third of the time: its errors, 1e-5 of a density, are of all signs and cancel over the images.
        precisions, places = (1 / deviations).float(), (centres / deviations).float()
        for part in torch.split(grid.float().to(centres.device), max(1, PART // COST // len(centres))):
            away = part[:, None] * precisions - places
            densities.append((away.square_().mul_(-0.5).exp_() @ precisions).cpu().double() / len(centres))
            yield
        density = torch.cat(densities) / math.sqrt(2 * math.pi)
        step = float(grid[1] - grid[0])
        density = density / (density.sum() * step)
        log_prior = -0.5 * (grid.square() + math.log(2 * math.pi))
        found.append((torch.xlogy(density, density) - density * log_prior).sum() * step)
        shown.append(_shown(grid, density, centres.cpu()))
    low_ends, high_ends, curves, means = zip(*shown, strict=True)
    ends = torch.tensor([low_ends, high_ends], dtype=torch.float64)
    return torch.stack(found), Marginals(ends[0], ends[1], torch.stack(curves), torch.stack(means))


def _shown(grid: Tensor, density: Tensor, centres: Tensor) -> tuple[float, float, Tensor, Tensor]:
    """Where the plot of a dimension begins and ends, its density there, and the histogram of its means."""
    step = float(grid[1] - grid[0])
    mass = torch.cumsum(density, dim=0) * step
    last = len(grid) - 1
    first, final = (int((mass < share).sum()) for share in (SHOWN_TAIL, 1 - SHOWN_TAIL))
    low, high = min(-LEAST_REACH, float(grid[first])), max(LEAST_REACH, float(grid[min(final, last)]))
    places = (torch.linspace(low, high, SHOWN_POINTS, dtype=torch.float64) - grid[0]) / step
    left = places.floor().clamp(0, last - 1).long()
    share = places - left
    curve = density[left] * (1 - share) + density[left + 1] * share
    curve = torch.where((places < 0) | (places > last), 0.0, curve)
    width = (high - low) / SHOWN_POINTS
    bins = ((centres - low) / width).long().clamp(0, SHOWN_POINTS - 1)
    inside = (centres >= low) & (centres <= high)
    counts = torch.bincount(bins[inside], minlength=SHOWN_POINTS).double()
    return low, high, curve, counts / (len(centres) * width)
