"""The classifier Fréchet distance: how far apart two sets of images are in the features of a classifier.

The formula is the one of the FID (Heusel et al. 2017, https://arxiv.org/abs/1706.08500), the network is another: an
Inception network sees little in 28×28 grey levels. The two distances are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.classifier import Network, extract
from tui_vae.core.evaluation.forward import BATCH, at_once, decode, reconstruct
from tui_vae.core.evaluation.latent_gaussian import LatentGaussian, standard_gaussian
from tui_vae.core.models.vae import VAE
from tui_vae.errors import UserError


@dataclass(frozen=True)
class Moments:
    """Mean `(F,)` and unbiased covariance `(F, F)` of features over a set of images; float64, on the CPU."""

    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """The moments of features `(N, F)`, N at least 2."""
    features = features.cpu().double()
    return Moments(features.mean(dim=0), torch.cov(features.T))


def frechet_distance(one: Moments, other: Moments) -> float:
    """‖μ₁ - μ₂‖² + Tr(Σ₁ + Σ₂ - 2·(Σ₁Σ₂)^½): the squared Fréchet distance of two Gaussians (Dowson & Landau 1982).

    It is NaN where a moment is not finite.
    """
    if not all(bool(value.isfinite().all()) for m in (one, other) for value in (m.mean, m.covariance)):
        return math.nan
    # Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½·Σ₂·Σ₁^½, which rounding makes slightly negative at worst.
    values, vectors = torch.linalg.eigh(one.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return float(apart + one.covariance.trace() + other.covariance.trace() - 2 * cross)


@dataclass(frozen=True)
class FrechetDistances:
    """Classifier Fréchet distances from the test set; lower is nearer. NaN where decoded images are not finite.

    fitted, prior: of `samples` images decoded from the Gaussian fitted to the encoder's z, and from N(0, I).
    reconstructions: of the test images decoded at z = μ.
    train: of training images: what a perfect generator reaches.
    classifier_accuracy: the share of the `images` test images that the classifier gives their class, in [0, 1].
    """

    fitted: float
    prior: float
    reconstructions: float
    train: float
    samples: int
    images: int
    classifier_accuracy: float


def check_sizes(test: int, train: int, samples: int) -> None:
    """
    Raises:
        UserError: there is only one image in one of the sets that are compared.
    """
    if min(test, train, samples) < 2:
        there = f"test images: {test:,}, training images: {train:,}, samples: {samples:,}"
        raise UserError("the Fréchet distance compares sets of two images at least", there)


@torch.inference_mode()
def sample_distances(
    model: VAE,
    gaussian: LatentGaussian,
    network: Network,
    test: Tensor,
    test_labels: Tensor,
    train: Tensor,
    samples: int,
    seed: int,
    report: Callable[[int], None] = lambda _: None,
) -> FrechetDistances:
    """The distances of samples, reconstructions and training images from the test set.

    Args:
        gaussian: fitted to the encoder's z.
        network: the classifier, which has learnt images of this shape.
        test: images `(N, …)` on the model's device.
        test_labels: their classes, `(N,)` on the CPU.
        train: images that the network was trained on; as many as in `test` make the distances comparable.
        samples: the number of images from each Gaussian, at least 2. The fewer, the larger the distance.
        seed: of the noise, which is the same for both Gaussians.
        report: called after each batch with the number of images that the classifier has seen.

    Raises:
        UserError: there is only one image in one of the sets.
    """
    check_sizes(len(test), len(train), samples)

    def features(batches: Iterable[Tensor]) -> Tensor:
        """The features `(N, 64)` of batches of images that hold N in all."""
        parts = []
        for batch in batches:
            parts.append(extract(network, batch))
            report(len(batch))
        return torch.cat(parts)

    def decoded(source: LatentGaussian) -> Iterator[Tensor]:
        """Batches `(N, D)` of images in [0, 1], decoded from draws of z."""
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, samples, size):
            yield decode(model, source.draw(min(size, samples - start), generator).to(test.device))

    size = at_once(BATCH, model.pixels)
    test_features = features(torch.split(test, size))
    reference = moments(test_features)

    def distance(batches: Iterable[Tensor]) -> float:
        return frechet_distance(moments(features(batches)), reference)

    return FrechetDistances(
        fitted=distance(decoded(gaussian)),
        prior=distance(decoded(standard_gaussian(model.latent_dim))),
        reconstructions=distance(reconstruct(model, batch).images for batch in torch.split(test, size)),
        train=distance(torch.split(train, size)),
        samples=samples,
        images=len(test),
        classifier_accuracy=float((network.classify(test_features).argmax(dim=1) == test_labels).double().mean()),
    )
