"""A small classifier of FashionMNIST that comes with the package: sets of images are compared by its features.

`make.py` trains it and writes `weights.safetensors`. `small.py` trains one of other images.
"""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tui_vae.core.evaluation.forward import at_once
from tui_vae.core.pixels import Shape, channels_first
from tui_vae.errors import UserError

WEIGHTS = Path(__file__).with_name("weights.safetensors")
SIDE = 28
"""Height and width of its images, in pixels."""

FEATURES = 64
"""Features of an image."""

BATCH = 500
"""Images in one forward pass."""


class Network(Protocol):
    """A classifier whose features are compared. shape: of its images."""

    shape: Shape

    def features(self, images: Tensor) -> Tensor:
        """Images `(N, C, height, width)` in [0, 1] → `(N, F)`."""

    def classify(self, features: Tensor) -> Tensor:
        """`(N, F)` → logits `(N, classes)`."""


class Classifier(nn.Module):
    """Three convolutions and two linear layers: images `(N, 1, 28, 28)` in [0, 1] → logits of the classes."""

    shape: Shape = (1, SIDE, SIDE)

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 48, 3, padding=1)
        self.third = nn.Conv2d(48, 64, 3, padding=1)
        self.to_features = nn.Linear(64 * 7 * 7, FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """`(N, 1, 28, 28)` → `(N, 64)`: the input of the last linear layer, before its activation."""
        x = functional.max_pool2d(functional.relu(self.first(images)), 2)
        x = functional.max_pool2d(functional.relu(self.second(x)), 2)
        x = functional.relu(self.third(x))
        features: Tensor = self.to_features(x.flatten(1))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """`(N, 64)` → logits `(N, classes)`."""
        logits: Tensor = self.head(functional.relu(features))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Images `(N, 1, 28, 28)` in [0, 1] → logits `(N, classes)`."""
        return self.classify(self.features(images))


@cache
def packaged() -> Classifier:
    """The classifier that comes with the package, in float32 on the CPU.

    Raises:
        UserError: its weights are missing or damaged.
    """
    network = Classifier()
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    except (OSError, SafetensorError, RuntimeError):
        raise UserError(f"the classifier's weights {WEIGHTS} cannot be read", "install the package again") from None
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def extract(network: Network, images: Tensor) -> Tensor:
    """Images of the network's shape, in any form that `as_input` takes → features `(N, 64)` on the CPU, in batches."""
    size = at_once(BATCH, prod(network.shape))
    return torch.cat([network.features(as_input(part, network.shape)) for part in torch.split(images, size)])


def as_input(images: Tensor, shape: Shape = Classifier.shape) -> Tensor:
    """Images, uint8 or float in [0, 1], in any form that `channels_first` takes → float32 `(N, *shape)` in [0, 1] on
    the CPU."""
    flat = channels_first(images.cpu())
    scaled = flat.float() / 255 if images.dtype == torch.uint8 else flat.float()
    return scaled.reshape(-1, *shape)
