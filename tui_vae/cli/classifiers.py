"""The classifier by whose features a run's images are compared: the package's, or one trained here and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from tui_vae.errors import UserError
from tui_vae.runs.files import write_atomic

if TYPE_CHECKING:
    from tui_vae.core.data.datasets import Dataset
    from tui_vae.core.evaluation.classifier import Network

COMPARED = 1000
"""Images at equal distances by which a training set is known again, besides its size and labels."""

NO_LABELS = "the Fréchet distance needs a classifier, and these images have no labels to train one on"
ONE_CLASS = "the Fréchet distance needs a classifier, and the training images are all of one class"

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Says what is under way, and of how many parts; gives what is told of parts that are done."""


def is_fashion(data: Dataset) -> bool:
    """Whether these are FashionMNIST's images as they are, which the package's classifier has learnt."""
    source = data.source
    is_it = source.dataset == "fashion-mnist" and (source.kind == "sample" or source.published)
    return is_it and data.shape == (1, 28, 28)


def classifier_for(data: Dataset, progress: Progress) -> tuple[Network, str]:
    """The classifier for a run's images, and where it is from in a few words.

    One that is trained is kept in the user's cache, for this very training set.

    Raises:
        UserError: the images have no labels, or are all of one class.
    """
    from tui_vae.core.evaluation.classifier import packaged

    if is_fashion(data):
        return packaged(), "a small FashionMNIST classifier"
    if data.train_labels is None or data.test_labels is None:
        raise UserError(NO_LABELS, "give data whose images have classes")
    import numpy as np

    from tui_vae.config.data_places import cache_home
    from tui_vae.core.evaluation.classifier import small

    labels = data.train_labels.astype(np.int64)
    if len(np.unique(labels)) < 2:
        raise UserError(ONE_CLASS, "give data whose images have several classes")
    which = f"these {len(data.train_images):,} training images"
    words = f"a small classifier trained on {which}"
    path = cache_home() / "classifiers" / f"{_key(data)}.safetensors"
    found = small.kept(path, data.shape, len(data.classes))
    if found is not None:
        return found, words
    with progress(f"training a small classifier on {which}, to be kept in {path.parent}", small.STEPS) as advanced:
        network = small.train(data.train_images, labels, data.shape, len(data.classes), advanced)
    with suppress(OSError):  # a cache that cannot be written costs the time again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, small.as_bytes(network))
    return network, words


def _key(data: Dataset) -> str:
    """A name for the training set and the way to train on it."""
    import numpy as np

    from tui_vae.core.evaluation.classifier import small

    images, labels = data.train_images, data.train_labels
    assert labels is not None
    digest = hashlib.sha256(f"{small.VERSION} {images.shape} {images.dtype} {len(data.classes)}".encode())
    chosen = np.unique(np.linspace(0, len(images) - 1, COMPARED).astype(np.int64))
    digest.update(np.ascontiguousarray(images[chosen]).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()[:32]
