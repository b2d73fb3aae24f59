"""Error and KL of each class, from the posteriors of an evaluation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.core.objectives import kl_per_dimension

Means = NDArray[np.float64]


def class_means(statistics: PosteriorStatistics, labels: NDArray[np.integer], classes: int) -> tuple[Means, Means]:
    """Means over the images of each class, `(classes,)` each; NaN for a class without images.

    Args:
        statistics: of N images that were decoded.
        labels: the classes of the images, `(N,)`, below `classes`.

    Returns:
        A pixel's squared error on [0, 1] at z = μ, and KL(q(z|x) ‖ N(0, I)) in nats.
    """
    kl = kl_per_dimension(statistics.mu, statistics.logvar).sum(dim=1)
    of_each = torch.stack([statistics.mse, kl]).cpu().double().numpy()
    counts = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        mse, kl_means = (np.bincount(labels, weights=values, minlength=classes) / counts for values in of_each)
    return mse, kl_means
