"""The figures of one evaluation, over a whole set of images: the README's "What the numbers mean"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import Objective, kl_per_dimension, squared_error, total_correlation, with_free_bits
from tui_vae.core.pixels import normalize, to_unit_interval

BATCH = 1000
PIECE = 500  # images that a CPU evaluates at once: requests wait half as long, and it takes 2% longer (measured)
PIXELS_AT_ONCE = 4_000_000  # of a GPU, to which a thousand small images are less work than launching it
ACTIVE_VARIANCE = 0.01
TC_BATCH = 250  # the total correlation of M images takes M² · latent_dim numbers


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of images, all means over images unless said otherwise.

    recon: Σ over pixels of (x̂ - x)² on [-1, 1], z ~ q(z|x).
    kl, kl_per_dim: nats. loss: the objective's formula over the whole set, free bits and total correlation included.
    mse: a pixel's squared error on [0, 1], at z = μ. accuracy: fraction of pixels with (p̂ > ½) = (p > ½), at z = μ.
    elbo_bpd: see `bits_per_pixel`.
    active_units: latent dimensions whose posterior mean has a variance above 0.01 over the set (Burda et al. 2016,
    https://arxiv.org/abs/1509.00519).
    """

    loss: float
    recon: float
    kl: float
    mse: float
    accuracy: float
    elbo_bpd: float
    active_units: int
    kl_per_dim: tuple[float, ...]


@dataclass(frozen=True)
class Survey:
    """What a network makes of each image of a set: `mu` `(N, latent_dim)`, and `mse` `(N,)` as in `Reconstruction`.

    `variance` and `kl`: σ² and KL of each latent dimension, means over images, `(latent_dim,)` float64 on the CPU.
    """

    mu: Tensor
    mse: Tensor
    variance: Tensor
    kl: Tensor


def survey_of(mu: Sequence[Tensor], logvar: Sequence[Tensor], mse: Sequence[Tensor]) -> Survey:
    """The survey of a set of images from its parts; without any `mse` of no errors."""

    def mean(sums: list[Tensor]) -> Tensor:
        # Sums of parts in float32, their total in float64; on the CPU because not every device has float64.
        return torch.stack(sums).cpu().double().sum(dim=0) / sum(map(len, mu))

    kl = mean([kl_per_dimension(*part).sum(dim=0) for part in zip(mu, logvar, strict=True)])
    variance = mean([part.exp().sum(dim=0) for part in logvar])
    return Survey(torch.cat(list(mu)), torch.cat(list(mse)) if mse else mu[0].new_zeros(0), variance, kl)


def bits_per_pixel(mse: float, kl: float, pixels: int) -> float:
    """Negative ELBO in bits a pixel under the Gaussian decoder whose one variance fits best.

    `((½·D·(ln(2π·m) + 1) + KL)/D + ln 255)/ln 2`, where m = `mse` is the mean squared error a pixel on [0, 1] at
    sampled z. For ranking: pixels are not dequantized.
    """
    if not mse > 0 or not math.isfinite(mse) or not math.isfinite(kl):
        return math.nan
    nats = 0.5 * pixels * (math.log(2 * math.pi * mse) + 1) + kl
    return (nats / pixels + math.log(255)) / math.log(2)


def pixel_variance(images: Tensor) -> float:
    """The variance of a pixel over images `(N, …)` on [0, 1], mean over the pixels; uint8 counts as 255 times that.

    That is the mean squared error of the one picture that fits all of them best: what a decoder that ignores z reaches.
    """
    p = images.flatten(1).float() / (255 if images.dtype == torch.uint8 else 1)
    return float(p.var(dim=0, correction=0).mean())


@torch.inference_mode()
def survey(
    model: VAE,
    images: Tensor,
    objective: Objective,
    beta: float,
    seed: int,
    between_pieces: Callable[[], None] = lambda: None,
) -> tuple[Evaluation, Survey]:
    """Evaluate in float32, piece by piece, with noise of its own: nothing outside is changed by it.

    Args:
        images: uint8 or float32 `(N, height, width)` on the model's device.
        seed: of the noise ε in z; the same seed gives the same figures to the last bit on the same device.
        between_pieces: called after each piece; whoever trains looks at its requests there.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    count, pixels = len(images), model.pixels
    sums, mus, logvars, errors = [], [], [], []
    for batch, noise in _pieces(images, model.latent_dim, generator):
        found, mu, logvar, error = _look_at(model, objective, normalize(batch), noise, count)
        sums.append(found)
        mus.append(mu)
        logvars.append(logvar)
        errors.append(error / pixels)
        between_pieces()
    recon_sum, distortion_sum, error_sum, hits, tc_sum = torch.stack(sums).cpu().double().sum(dim=0).tolist()
    whole = survey_of(mus, logvars, errors)
    means = whole.mu.cpu() if whole.mu.device.type == "mps" else whole.mu  # which has no float64
    kl_dims, variances = whole.kl, means.double().var(dim=0, correction=0)
    recon, kl = recon_sum / count, float(kl_dims.sum())
    mean_distortion = torch.tensor(distortion_sum / count, dtype=torch.float64)
    loss = objective(mean_distortion, with_free_bits(kl_dims[None], objective.free_bits), beta, pixels)
    evaluation = Evaluation(
        loss=float(loss) + objective.tc_weight * tc_sum / count,
        recon=recon,
        kl=kl,
        mse=error_sum / (count * pixels),
        accuracy=hits / (count * pixels) if math.isfinite(error_sum) else math.nan,  # NaN counts as black, else
        elbo_bpd=bits_per_pixel(recon / (4 * pixels), kl, pixels),
        active_units=int((variances > ACTIVE_VARIANCE).sum()),
        kl_per_dim=tuple(kl_dims.tolist()),
    )
    return evaluation, whole


def _look_at(
    model: VAE, objective: Objective, x: Tensor, noise: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of a piece of `count` images, x `(N, D)` in [-1, 1]: sums over it, `(5,)`; μ, log σ²; errors on [0, 1], `(N,)`.

    The sums are of recon, distortion and error, of right pixels, and of the total correlation where it has a weight.
    """
    with looking(model):
        mu, logvar = model.encode(x)
        z = mu + torch.exp(0.5 * logvar) * noise
        sampled, distortion = objective.decode(model, z, x)
        decoded = model.decode(mu).clamp(-1, 1)
    error = squared_error(decoded, x) / 4
    sums = [
        squared_error(sampled, x).sum(), distortion.sum(), error.sum(), ((decoded > 0) == (x > 0)).sum().float(),
        _total_correlation_sum(z, mu, logvar, count) if objective.tc_weight else mu.new_zeros(()),
    ]  # fmt: skip
    return torch.stack(sums), mu, logvar, error


def _pieces(images: Tensor, latent_dim: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in pieces of what the device does at once, each with its noise ε `(…, latent_dim)`.

    The noise is drawn for `BATCH` images together, so that an image's own does not depend on the size of a piece.
    """
    size = PIECE if images.device.type == "cpu" else max(BATCH, PIXELS_AT_ONCE // images[0].numel() // BATCH * BATCH)
    for several in torch.split(images, max(size, BATCH)):
        drawn = [
            torch.empty(len(batch), latent_dim, device=images.device).normal_(generator=generator)
            for batch in torch.split(several, BATCH)
        ]
        yield from zip(torch.split(several, size), torch.split(torch.cat(drawn), size), strict=True)


def _total_correlation_sum(z: Tensor, mu: Tensor, logvar: Tensor, count: int) -> Tensor:
    """The total correlation as it is estimated from parts of a batch, times their sizes; of one image alone it is 0."""
    total = z.new_zeros(())
    for part in torch.split(torch.arange(len(z), device=z.device), TC_BATCH):
        if len(part) > 1:
            total += len(part) * total_correlation(z[part], mu[part], logvar[part], count)
    return total


@dataclass(frozen=True)
class Reconstruction:
    """`images` float32 `(N, D)` in [0, 1], the decoder at z = μ; `mu`, `logvar` `(N, latent_dim)`; `mse` `(N,)`."""

    images: Tensor
    mu: Tensor
    logvar: Tensor
    mse: Tensor


@contextmanager
def looking(model: VAE) -> Iterator[None]:
    """The model in eval mode, and afterwards, whatever happens, as it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.inference_mode()
def encode(model: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images `(N, height, width)` on the model's device → μ and log σ² of q(z|x), `(N, latent_dim)`, all at once."""
    with looking(model):
        return model.encode(normalize(images))


@torch.inference_mode()
def reconstruct(model: VAE, images: Tensor) -> Reconstruction:
    """Reconstruct images `(N, height, width)` on the model's device, in batches of 1,000."""
    parts = []
    with looking(model):
        for batch in torch.split(images, BATCH):
            x = normalize(batch)
            mu, logvar = model.encode(x)
            decoded = to_unit_interval(model.decode(mu))
            mse = (decoded - to_unit_interval(x)).square().mean(dim=1)
            parts.append((decoded, mu, logvar, mse))
    return Reconstruction(*(torch.cat(column) for column in zip(*parts, strict=True)))
