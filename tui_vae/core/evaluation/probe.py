"""What the latent space knows: how well simple classifiers and a mixture of Gaussians read the classes off μ.

scikit-learn does the work; it is the optional extra `probe`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_vae.core.evaluation.sampling import LatentGaussian
from tui_vae.errors import UserError

NEIGHBOURS, LOGISTIC_STEPS = 10, 1000
MIXTURE_IMAGES = 10_000  # of the training set; with all 60,000 the mixture takes longer than all else together
VARIANCE_FLOOR = 1e-3  # of the mixture's Gaussians, so that a dimension that carries nothing has one
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """Of one class, shares in [0, 1]: of the images called so, those that are (precision); of those that are, those
    called so (recall); the harmonic mean of both (f1)."""

    name: str
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Verdict:
    """How a classifier does on the test set. `confusion[true][called]` counts images."""

    name: str
    accuracy: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Clusters:
    """A mixture of as many Gaussians as there are classes, fitted to μ of training images without their labels.

    agreement: adjusted Rand index with the classes on the test set, 1 for the same partition, 0 for chance (Hubert &
    Arabie 1985). information: normalized mutual information in [0, 1]. `counts[cluster][class]`: test images.
    """

    agreement: float
    information: float
    counts: tuple[tuple[int, ...], ...]


def probe(
    train_mu: Tensor, train_labels: Labels, test_mu: Tensor, test_labels: Labels, names: tuple[str, ...], seed: int
) -> tuple[tuple[Verdict, ...], Clusters]:
    """Fit on μ of the training set, `(N, latent_dim)`, and judge on that of the test set.

    The logistic regression (L2 penalty, C = 1) sees each dimension scaled to the training set's mean 0 and variance 1.
    The neighbours and the mixture see μ as it is: the prior has already put its dimensions on one scale, and one that
    carries nothing, whose μ hardly varies, must not count as much as the others.

    Raises:
        UserError: scikit-learn is not installed, μ is not finite, or the training set has only one class.
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
    if not bool(train_mu.isfinite().all() and test_mu.isfinite().all()):
        raise UserError("the encoder gives numbers that are not finite: the run has diverged", "try a lower --lr")
    if len(np.unique(train_labels)) < 2:
        raise UserError("the training images are all of one class", "raise --train-limit")
    train, test = train_mu.double().numpy(), test_mu.double().numpy()
    neighbours, groups = min(NEIGHBOURS, len(train)), min(len(names), len(train))
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=LOGISTIC_STEPS))
    mixture = GaussianMixture(groups, reg_covar=VARIANCE_FLOOR, random_state=seed % 2**32)
    # Beside a training run, the many small products of a fit take 20 times as long in threads that wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A fit that stops before its last digit is as good a probe.
        warnings.simplefilter("ignore", ConvergenceWarning)
        verdicts = tuple(
            _verdict(name, test_labels, classifier.fit(train, train_labels).predict(test), names)
            for name, classifier in (
                ("logistic regression", regression),
                (f"{neighbours} nearest neighbours", KNeighborsClassifier(neighbours)),
            )
        )
        found = mixture.fit(train[:MIXTURE_IMAGES]).predict(test)
    clusters = Clusters(
        agreement=float(adjusted_rand_score(test_labels, found)),
        information=float(normalized_mutual_info_score(test_labels, found)),
        counts=_counts(found, test_labels, groups, len(names)),
    )
    return verdicts, clusters


@dataclass(frozen=True)
class Outlier:
    """An image, by how far its μ is from the Gaussian fitted to the encoder's z: the squared Mahalanobis distance,
    so the largest ones are the least likely. Of z drawn from that Gaussian it has the mean `latent_dim`."""

    index: int
    distance: float


def outliers(mu: Tensor, gaussian: LatentGaussian, count: int) -> tuple[Outlier, ...]:
    """The `count` least likely of `mu` `(N, latent_dim)` on the CPU, the least likely one first."""
    away = (mu.double() - gaussian.mean).T
    distances = torch.linalg.solve_triangular(gaussian.factor, away, upper=False).square().sum(dim=0)
    order = distances.argsort(descending=True)[:count].tolist()
    return tuple(Outlier(index, float(distances[index])) for index in order)


def _verdict(name: str, truth: Labels, called: Labels, names: tuple[str, ...]) -> Verdict:
    confusion = _counts(truth, called, len(names), len(names))
    counts = np.array(confusion)
    hits, are, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    scores = tuple(
        ClassScore(label, _share(hit, as_said), _share(hit, there), _share(2 * hit, as_said + there))
        for label, hit, as_said, there in zip(names, hits, said, are, strict=True)
    )
    return Verdict(name, float(hits.sum() / counts.sum()), scores, confusion)


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _counts(rows: Labels, columns: Labels, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """How often each pair of a row and a column occurs, `(height, width)`."""
    table = np.bincount(rows.astype(np.int64) * width + columns.astype(np.int64), minlength=height * width)
    return tuple(tuple(map(int, row)) for row in table.reshape(height, width))
