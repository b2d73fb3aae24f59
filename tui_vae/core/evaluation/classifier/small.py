"""A small classifier of any images, trained on the spot: its features compare images that are not FashionMNIST."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from tui_vae.core.evaluation.classifier import FEATURES, as_input
from tui_vae.core.evaluation.forward import at_once
from tui_vae.core.pixels import Shape

VERSION = 1
"""Of the network and of how it is trained: a classifier of another version is trained anew."""

MOST_SIDE = 32
"""Pixels: larger images are reduced to this longer side, each pixel the mean of those it covers, for time's sake."""

FEW_SIDE = 8
"""Pixels: convolutions halve the longer side until it is not above this."""

CHANNELS = (24, 48, 64)
"""After each convolution; from the third on they stay."""

MOST_IMAGES = 20_000
"""Training images that it learns from, of more a part chosen by chance: 0.25 GB in memory, reduced and in colour."""

STEPS, BATCH, LR, SEED = 600, 128, 2e-3, 0
"""How long it learns: half a minute on one core for images of 32 × 32 in colour, or larger ones."""

WEIGHT_DECAY, LABEL_SMOOTHING = 0.02, 0.05
"""Both without unit, against overfitting; as of the classifier in the package."""


class SmallClassifier(nn.Module):
    """Convolutions of 4 × 4 pixels that halve the sides, one of 3 × 3, and two linear layers.

    Args:
        shape: of the images. classes: how many there are.
    """

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.shape = shape
        channels, height, width = shape
        longer = max(height, width)
        share = min(1.0, MOST_SIDE / longer)
        self.reduced = max(1, round(height * share)), max(1, round(width * share))
        layers: list[nn.Module] = []
        sides, place = self.reduced, 0
        while max(sides) > FEW_SIDE and min(sides) > 1:
            wide = CHANNELS[min(place, len(CHANNELS) - 1)]
            layers += [nn.Conv2d(channels, wide, 4, stride=2, padding=1), nn.ReLU()]
            sides, channels, place = (sides[0] // 2, sides[1] // 2), wide, place + 1
        layers += [nn.Conv2d(channels, CHANNELS[-1], 3, padding=1), nn.ReLU()]
        channels = CHANNELS[-1]
        self.convolutions = nn.Sequential(*layers)
        self.to_features = nn.Linear(channels * sides[0] * sides[1], FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """`(N, C, height, width)` in [0, 1] → `(N, 64)`: the input of the last linear layer, before its activation."""
        features: Tensor = self.to_features(self.convolutions(self.reduce(images) - 0.5).flatten(1))
        return features

    def reduce(self, images: Tensor) -> Tensor:
        """`(N, C, height, width)` → `(N, C, *reduced)`; what is reduced stays."""
        if self.reduced == tuple(images.shape[2:]):
            return images
        return functional.interpolate(images, self.reduced, mode="area")

    def classify(self, features: Tensor) -> Tensor:
        """`(N, 64)` → logits `(N, classes)`."""
        logits: Tensor = self.head(functional.relu(features))
        return logits


def kept(path: Path, shape: Shape, classes: int) -> SmallClassifier | None:
    """The classifier in a file; None where it is missing, damaged, or another one's."""
    network = SmallClassifier(shape, classes)
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError):
        return None
    return network.eval().requires_grad_(False)


def as_bytes(network: SmallClassifier) -> bytes:
    """What `kept` reads."""
    return save({name: value.contiguous() for name, value in network.state_dict().items()})


def train(
    images: NDArray[np.uint8 | np.float32], labels: NDArray[np.int64], shape: Shape, classes: int,
    report: Callable[[int], None] = lambda _: None,
) -> SmallClassifier:  # fmt: skip
    """Train a classifier on the CPU, on one thread: beside anything else that runs, several wait for each other and
    take ten times as long. The same machine makes the same weights again.

    Args:
        images: `(N, height, width)` or `(N, height, width, 3)`; labels: `(N,)`, below `classes`.
        report: called after each step with the number 1.
    """
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        torch.manual_seed(SEED)
        network = SmallClassifier(shape, classes)
        order = np.random.RandomState(SEED)
        optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=STEPS)
        learnt = np.sort(order.permutation(len(images))[:MOST_IMAGES])
        size = at_once(BATCH, prod(shape))
        x = torch.cat([
            network.reduce(as_input(torch.from_numpy(images[learnt[start : start + size]]), shape))
            for start in range(0, len(learnt), size)
        ])  # fmt: skip
        truth = torch.from_numpy(labels[learnt])
        for _ in range(STEPS):
            chosen = torch.from_numpy(order.randint(0, len(x), min(BATCH, len(x))))
            logits = network.classify(network.features(x[chosen]))
            loss = functional.cross_entropy(logits, truth[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            report(1)
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)
    return network.eval().requires_grad_(False)
