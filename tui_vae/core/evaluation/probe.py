"""The probe: how well simple classifiers and a mixture of Gaussians tell the classes from the posterior means μ.

It needs scikit-learn, the optional extra `probe`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_vae.core.evaluation.latent_gaussian import LatentGaussian
from tui_vae.errors import UserError

NEIGHBOURS = 10
"""Neighbours that vote on an image's class, as docs/recipes.md says."""

SEEDS = 2**32
"""Seeds from 0 on that scikit-learn takes."""

LOGISTIC_STEPS = 1000
"""Iterations of the logistic regression's fit at most, ten times scikit-learn's own: its 100 do not always converge."""

MOST_GROUPS = 100
"""Gaussians of the mixture at most: with as many as a thousand classes it would take hours."""

MIXTURE_IMAGES = 10_000
"""Training images that the mixture is fitted to: with all 60,000 it takes longer than all else together."""

VARIANCE_FLOOR = 1e-3
"""Added to each variance of the mixture's Gaussians, so that a collapsed dimension has one too."""

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class, in [0, 1].

    precision: the share of the images given this class that have it. recall: the share of the images of this class that
    are given it. f1: the harmonic mean of both.
    """

    name: str
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ClassifierScores:
    """A classifier's scores on the test set. `confusion[true][predicted]` counts images."""

    name: str
    accuracy: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Clusters:
    """A mixture of as many Gaussians as there are classes, at most `MOST_GROUPS`, fitted to μ of training images
    without their labels.

    agreement: adjusted Rand index of clusters and classes on the test set: 1 for the same partition, 0 on average for
        a random one (Hubert & Arabie 1985).
    information: normalized mutual information of both, in [0, 1].
    counts: `counts[cluster][class]` test images.
    """

    agreement: float
    information: float
    counts: tuple[tuple[int, ...], ...]


def probe(
    train_mu: Tensor, train_labels: Labels, test_mu: Tensor, test_labels: Labels, names: tuple[str, ...], seed: int
) -> tuple[tuple[ClassifierScores, ...], Clusters]:
    """Fit on μ of the training set, and score on μ of the test set; each `(N, latent_dim)` on the CPU.

    The logistic regression (L2 penalty, C = 1) sees each dimension scaled to the training set's mean 0 and variance 1.
    The neighbours and the mixture see μ unscaled: the prior has already put the dimensions on one scale, and a
    collapsed dimension, whose μ hardly varies, must not count as much as the others. `train_labels` are of two classes
    or more.

    Args:
        train_labels, test_labels: classes as indices of `names`, `(N,)` int64.
        names: of the classes.
        seed: of the mixture's initial means.

    Raises:
        UserError: scikit-learn is not installed, or μ is not finite.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
        from sklearn.mixture import GaussianMixture
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise UserError("the probe needs scikit-learn", "install it: pip install scikit-learn") from None
    _check(train_mu, test_mu)
    train, test = train_mu.double().numpy(), test_mu.double().numpy()
    neighbours, groups = min(NEIGHBOURS, len(train)), min(len(names), len(train), MOST_GROUPS)
    classifiers = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=LOGISTIC_STEPS)),
        f"{neighbours} nearest neighbours": KNeighborsClassifier(neighbours),
    }
    mixture = GaussianMixture(groups, reg_covar=VARIANCE_FLOOR, random_state=seed % SEEDS)
    # Beside a training run, the many small products of a fit take 20 times as long in threads that wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A fit that stops before its last digit is as good a probe.
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = tuple(
            _classifier_scores(name, test_labels, classifier.fit(train, train_labels).predict(test), names)
            for name, classifier in classifiers.items()
        )
        cluster_of = mixture.fit(train[:MIXTURE_IMAGES]).predict(test)
    clusters = Clusters(
        agreement=float(adjusted_rand_score(test_labels, cluster_of)),
        information=float(normalized_mutual_info_score(test_labels, cluster_of)),
        counts=_counts(cluster_of, test_labels, groups, len(names)),
    )
    return scores, clusters


def _check(train_mu: Tensor, test_mu: Tensor) -> None:
    """Check μ of both sets, `(N, latent_dim)`.

    Raises:
        UserError: μ is not finite.
    """
    if not bool(train_mu.isfinite().all() and test_mu.isfinite().all()):
        what = "the encoder gives numbers that are not finite: the run has diverged"
        raise UserError(what, "train it with a lower --lr")


@dataclass(frozen=True)
class Outlier:
    """An image that is unlikely under the Gaussian fitted to the encoder's z.

    distance: squared Mahalanobis distance of μ; the larger, the less likely. Samples of the Gaussian have the mean
        distance `latent_dim`.
    """

    index: int
    distance: float


def outliers(mu: Tensor, gaussian: LatentGaussian, count: int) -> tuple[Outlier, ...]:
    """The `count` least likely of `mu` `(N, latent_dim)` on the CPU, the least likely one first."""
    centred = (mu.double() - gaussian.mean).T
    distances = torch.linalg.solve_triangular(gaussian.factor, centred, upper=False).square().sum(dim=0)
    order = distances.argsort(descending=True)[:count].tolist()
    return tuple(Outlier(index, float(distances[index])) for index in order)


def _classifier_scores(name: str, truth: Labels, predicted: Labels, names: tuple[str, ...]) -> ClassifierScores:
    confusion = _counts(truth, predicted, len(names), len(names))
    counts = np.array(confusion)
    hits, of_class, given_class = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    scores = tuple(
        ClassScore(label, _share(hit, given), _share(hit, actual), _share(2 * hit, given + actual))
        for label, hit, actual, given in zip(names, hits, of_class, given_class, strict=True)
    )
    return ClassifierScores(name, float(hits.sum() / counts.sum()), scores, confusion)


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _counts(rows: Labels, columns: Labels, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """How often each pair of `rows[i]` and `columns[i]` occurs: a table of `height` rows and `width` columns."""
    table = np.bincount(rows.astype(np.int64) * width + columns.astype(np.int64), minlength=height * width)
    return tuple(tuple(map(int, row)) for row in table.reshape(height, width))
