"""The figures of an evaluation over a whole set of images; docs/figures.md defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import at_once, evaluation_mode
from tui_vae.core.evaluation.likelihood import decoder_variance
from tui_vae.core.evaluation.posteriors import PosteriorStatistics, mean_over, posterior_sums
from tui_vae.core.models.vae import VAE, reparameterize
from tui_vae.core.objectives import Objective, squared_error, total_correlation, with_free_bits
from tui_vae.core.pixels import normalize

CPU_BATCH = 500
"""Images that a CPU evaluates at once. With half of 1,000, requests wait half as long, and it takes 2% longer
(measured)."""

GPU_PIXELS = 4_000_000
"""Pixels that a GPU evaluates at once: for a thousand small images, kernel-launch time dominates."""

NOISE_BATCH = 1000
"""Images whose noise is drawn together. Every recorded figure depends on it: another value gives other noise."""

VARIANCE_PIXELS = 64
"""Pixels whose variance over all images is computed at once."""

TC_BATCH = 250
"""Images whose total correlation is estimated together: M images take M² · latent_dim numbers."""

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active where its posterior mean has a larger variance over images (Burda et al. 2016)."""


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of images; means over images, unless said otherwise.

    loss: the objective's formula over the whole set, free bits and total correlation included.
    recon: Σ over pixels of (x̂ - x)² on [-1, 1], z ~ q(z|x).
    kl, kl_per_dim: KL(q(z|x) ‖ N(0, I)), of z and of each latent dimension, nats.
    mse: squared error of a pixel on [0, 1], at z = μ.
    accuracy: fraction of pixels with (p̂ > ½) = (p > ½), at z = μ.
    elbo_bpd: see `bits_per_pixel`.
    active_units: number of latent dimensions whose posterior mean has a variance above `ACTIVE_VARIANCE` over the set
        (Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519).
    """

    loss: float
    recon: float
    kl: float
    mse: float
    accuracy: float
    elbo_bpd: float
    active_units: int
    kl_per_dim: tuple[float, ...]


def bits_per_pixel(mse: float, kl: float, pixels: int) -> float:
    """Negative ELBO in bits a pixel under the Gaussian decoder whose one variance fits best.

    `((½·D·(ln(2π·m) + 1) + KL)/D + ln 255)/ln 2`: the negative logarithm of N(p; p̂, m·I) at its best m, which is the
    mean squared error itself. ln 255 turns a density on [0, 1] into one on [0, 255]. For ranking: pixels are not
    dequantized.

    Args:
        mse: m, mean squared error of a pixel on [0, 1] at sampled z, or that of a grey level's rounding where that is
            more (`decoder_variance`): the result is then above 0.25. It is NaN if m ≤ 0.
        kl: nats an image.
        pixels: D.
    """
    if not mse > 0 or not math.isfinite(mse) or not math.isfinite(kl):
        return math.nan
    nats = 0.5 * pixels * (math.log(2 * math.pi * mse) + 1) + kl
    return (nats / pixels + math.log(255)) / math.log(2)


def pixel_variance(images: Tensor) -> float:
    """The variance of a pixel on [0, 1] over images `(N, …)`, mean over pixels; uint8 is divided by 255.

    It is the mean squared error of the one image that fits all of them best, so of a decoder that ignores z.
    """
    scale = 255 if images.dtype == torch.uint8 else 1
    # A few pixels of all images at a time: floats of all would take four times the memory of the images.
    parts = torch.split(images.flatten(1), VARIANCE_PIXELS, dim=1)
    return float(torch.cat([(part.float() / scale).var(dim=0, correction=0) for part in parts]).mean())


class Passed(NamedTuple):
    """What one pass over N images finds, in B batches; all on the model's device.

    sums: of each batch, `(B, 5)`: see `_evaluate_batch`. kl, variance: `posterior_sums`, `(B, latent_dim)` each.
    active: the number of active dimensions, without dimensions. mu, logvar: `(N, latent_dim)`. mse: `(N,)`.
    """

    sums: Tensor
    kl: Tensor
    variance: Tensor
    active: Tensor
    mu: Tensor
    logvar: Tensor
    mse: Tensor


READ = ("sums", "kl", "variance", "active")
"""The fields of `Passed` that figures are computed from on the host."""

Batches = Iterable[tuple[Tensor, Tensor]]
"""Images `(n, …)` with their noise ε `(n, latent_dim)`."""


def evaluate(
    model: VAE,
    images: Tensor,
    objective: Objective,
    beta: float,
    seed: int,
    after_batch: Callable[[], None] = lambda: None,
) -> tuple[Evaluation, PosteriorStatistics]:
    """Evaluate in float32, batch by batch; gives also what the figures are made of. Changes no generator and no mode.

    Args:
        images: uint8 or float32 `(N, …)` on the model's device.
        beta: β of the loss.
        seed: of the noise ε in z; the same seed gives the same figures to the last bit on the same device.
        after_batch: called after each batch; a trainer answers requests there.
    """
    passed = pass_over(model, with_noise(images, model.latent_dim, seed), objective, len(images), after_batch)
    return figures_of([passed], objective, beta, model.pixels)[0]


@torch.inference_mode()
def with_noise(images: Tensor, latent_dim: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of as many images `(N, …)` as their device evaluates at once, each with its noise ε `(n, latent_dim)`.

    The noise is drawn for `NOISE_BATCH` images at a time, so that an image's ε does not depend on the batch size.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    pixels = images[0].numel()
    if images.device.type == "cpu":
        size = at_once(CPU_BATCH, pixels)
    else:
        size = max(at_once(NOISE_BATCH, pixels), GPU_PIXELS // pixels // NOISE_BATCH * NOISE_BATCH)
    for several in torch.split(images, max(size, NOISE_BATCH)):
        drawn = [
            torch.empty(len(part), latent_dim, device=images.device).normal_(generator=generator)
            for part in torch.split(several, NOISE_BATCH)
        ]
        yield from zip(torch.split(several, size), torch.split(torch.cat(drawn), size), strict=True)


@torch.inference_mode()
def pass_over(
    model: VAE, batches: Batches, objective: Objective, count: int, after_batch: Callable[[], None] = lambda: None
) -> Passed:
    """Evaluate `count` images, batch by batch. On a GPU it does not wait for the device."""
    sums, mus, logvars, errors = [], [], [], []
    for batch, noise in batches:
        batch_sums, mu, logvar, error = _evaluate_batch(model, objective, normalize(batch), noise, count)
        sums.append(batch_sums)
        mus.append(mu)
        logvars.append(logvar)
        errors.append(error / model.pixels)
        after_batch()
    mu = torch.cat(mus)
    exact = (mu.cpu() if mu.device.type == "mps" else mu).double()  # MPS has no float64
    active = (exact.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum().float().to(mu.device)
    kl, variance = posterior_sums(mus, logvars)
    return Passed(torch.stack(sums), kl, variance, active, mu, torch.cat(logvars), torch.cat(errors))


def figures_of(
    passes: Sequence[Passed], objective: Objective, beta: float, pixels: int
) -> list[tuple[Evaluation, PosteriorStatistics]]:
    """The figures that passes make, with β = `beta` and images of D = `pixels`. Waits for the device once."""
    return [_figures(passed, objective, beta, pixels) for passed in _read(passes)]


def _read(passes: Sequence[Passed]) -> list[Passed]:
    """The same passes with what figures are computed from on the CPU, by one copy for all."""
    parts = [getattr(passed, name) for passed in passes for name in READ]
    read = torch.cat([part.flatten() for part in parts]).cpu()
    values = iter(torch.split(read, [part.numel() for part in parts]))
    return [
        passed._replace(**{name: next(values).view(getattr(passed, name).shape) for name in READ}) for passed in passes
    ]


def _figures(passed: Passed, objective: Objective, beta: float, pixels: int) -> tuple[Evaluation, PosteriorStatistics]:
    """The figures of a pass whose fields `READ` are on the CPU."""
    count = len(passed.mu)
    recon_sum, distortion_sum, error_sum, hits, tc_sum = passed.sums.double().sum(dim=0).tolist()
    kl_per_dim = mean_over(passed.kl, count)
    recon, kl = recon_sum / count, float(kl_per_dim.sum())
    distortion = torch.tensor(distortion_sum / count, dtype=torch.float64)
    loss = objective(distortion, with_free_bits(kl_per_dim[None], objective.free_bits), beta, pixels)
    figures = Evaluation(
        loss=float(loss) + objective.tc_weight * tc_sum / count,
        recon=recon,
        kl=kl,
        mse=error_sum / (count * pixels),
        accuracy=hits / (count * pixels) if math.isfinite(error_sum) else math.nan,  # NaN pixels would count as black
        elbo_bpd=bits_per_pixel(decoder_variance(recon, pixels), kl, pixels),
        active_units=int(passed.active),
        kl_per_dim=tuple(kl_per_dim.tolist()),
    )
    variance = mean_over(passed.variance, count)
    return figures, PosteriorStatistics(passed.mu, passed.logvar, passed.mse, variance, kl_per_dim)


def _evaluate_batch(
    model: VAE, objective: Objective, x: Tensor, noise: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums over a batch x `(n, D)` in [-1, 1] of a set of `count` images: `(5,)`, then what is found of each image.

    The sums are of recon, of the distortion, of the squared error on [0, 1] at z = μ, of pixels that are right, and of
    the total correlation (0 where it has no weight). Each image's: μ and log σ², `(n, latent_dim)`, and its squared
    error on [0, 1], `(n,)`.
    """
    with evaluation_mode(model):
        mu, logvar = model.encode(x)
        z = reparameterize(mu, logvar, noise)
        sampled, distortion = objective.decode(model, z, x)
        decoded = model.decode(mu).clamp(-1, 1)
    error = squared_error(decoded, x) / 4
    recon = squared_error(sampled, x) if objective.bernoulli else distortion
    right = torch.count_nonzero((decoded > 0) == (x > 0))  # a sum would first make whole numbers of them
    sums = [
        recon.sum(), distortion.sum(), error.sum(), right.float(),
        _total_correlation_sum(z, mu, logvar, count) if objective.tc_weight else mu.new_zeros(()),
    ]  # fmt: skip
    return torch.stack(sums), mu, logvar, error


def _total_correlation_sum(z: Tensor, mu: Tensor, logvar: Tensor, count: int) -> Tensor:
    """Total correlation, estimated from parts of a batch, times the images of each part; 0 for a part of one image.

    z, mu, logvar: `(n, latent_dim)`, of a set of `count` images.
    """
    total = z.new_zeros(())
    for part in torch.split(torch.arange(len(z), device=z.device), TC_BATCH):
        if len(part) > 1:
            total += len(part) * total_correlation(z[part], mu[part], logvar[part], count)
    return total
