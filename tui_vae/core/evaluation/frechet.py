"""The classifier Fréchet distance: how far apart two sets of images are in the features of the packaged classifier.

The distance has the formula of the FID (Heusel et al. 2017, https://arxiv.org/abs/1706.08500) but not its network: an
Inception net sees little in 28×28 greys. Figures of one are not comparable with figures of the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.evaluation.classifier import extract, packaged
from tui_vae.core.evaluation.metrics import BATCH, reconstruct
from tui_vae.core.evaluation.sampling import LatentGaussian, decode
from tui_vae.core.models.vae import VAE


@dataclass(frozen=True)
class Moments:
    """Mean `(F,)` and unbiased covariance `(F, F)` of features over a set of images; float64, on the CPU."""

    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """The moments of features `(N, F)` of at least two images."""
    features = features.cpu().double()
    return Moments(features.mean(dim=0), torch.cov(features.T))


def frechet_distance(one: Moments, other: Moments) -> float:
    """‖μ₁ - μ₂‖² + Tr(Σ₁ + Σ₂ - 2·(Σ₁Σ₂)^½), the squared distance of two Gaussians (Dowson & Landau 1982).

    NaN where a moment is not finite.
    """
    if not all(bool(value.isfinite().all()) for m in (one, other) for value in (m.mean, m.covariance)):
        return math.nan
    # Σ₁Σ₂ has the eigenvalues of the symmetric Σ₁^½·Σ₂·Σ₁^½, whose rounding errors are at worst slightly below zero.
    values, vectors = torch.linalg.eigh(one.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum()
    return float(apart + one.covariance.trace() + other.covariance.trace() - 2 * cross)


@dataclass(frozen=True)
class Distances:
    """Classifier Fréchet distances from the test set, lower is nearer; NaN where a decoder gives no finite images.

    fitted, prior: of `samples` images decoded from the Gaussian fitted to the encoder's z, and from N(0, I).
    reconstructions: of the test images, at z = μ. train: of training images, so what a perfect generator would reach.
    classifier_accuracy: the share of the `images` test images whose class the classifier knows.
    """

    fitted: float
    prior: float
    reconstructions: float
    train: float
    samples: int
    images: int
    classifier_accuracy: float


@torch.inference_mode()
def sample_distances(
    model: VAE,
    gaussian: LatentGaussian,
    test: Tensor,
    test_labels: Tensor,
    train: Tensor,
    samples: int,
    seed: int,
    advanced: Callable[[int], None] = lambda _: None,
) -> Distances:
    """Compare with images `test` `(N, height, width)`, whose classes are `test_labels` `(N,)` on the CPU.

    Args:
        train: images that the network was trained on; as many as in `test` make the distances comparable.
        samples: how many to draw from each source, at least 2. The fewer, the larger the distance.
        seed: of the noise; both sources get the same.
        advanced: called with how many images were looked at, after each batch of them.

    Raises:
        UserError: the images are not 28×28, or the classifier's weights are missing.
    """
    network = packaged()

    def features(batches: Iterable[Tensor]) -> Tensor:
        parts = []
        for batch in batches:
            parts.append(extract(network, batch))
            advanced(len(batch))
        return torch.cat(parts)

    def drawn(source: LatentGaussian) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, samples, BATCH):
            yield decode(model, source.draw(min(BATCH, samples - start), generator).to(test.device))

    prior = LatentGaussian(torch.zeros_like(gaussian.mean), torch.eye(len(gaussian.mean), dtype=torch.float64))
    of_test = features(torch.split(test, BATCH))
    reference = moments(of_test)

    def distance(batches: Iterable[Tensor]) -> float:
        return frechet_distance(moments(features(batches)), reference)

    return Distances(
        fitted=distance(drawn(gaussian)),
        prior=distance(drawn(prior)),
        reconstructions=distance(reconstruct(model, batch).images for batch in torch.split(test, BATCH)),
        train=distance(torch.split(train, BATCH)),
        samples=samples,
        images=len(test),
        classifier_accuracy=float((network.classify(of_test).argmax(dim=1) == test_labels).double().mean()),
    )
