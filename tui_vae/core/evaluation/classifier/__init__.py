"""A small classifier of FashionMNIST that comes with the package: sets of images are compared by its features.

`make.py` trains it and writes `weights.safetensors`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tui_vae.errors import UserError

WEIGHTS = Path(__file__).with_name("weights.safetensors")
SIDE = 28
"""Height and width of its images, in pixels."""

FEATURES = 64
"""Features of an image."""

BATCH = 500
"""Images in one forward pass."""


class Classifier(nn.Module):
    """Three convolutions and two linear layers: images `(N, 1, 28, 28)` in [0, 1] → logits of the classes."""

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
def extract(network: Classifier, images: Tensor) -> Tensor:
    """Images `(N, height, width)` or `(N, D)`, float in [0, 1] or uint8 → features `(N, 64)` on the CPU, in batches.

    Raises:
        UserError: the images are not 28×28, the only size that the classifier has learnt.
    """
    if images[0].numel() != SIDE * SIDE:
        raise UserError("the classifier Fréchet distance is for images of 28×28 pixels only")
    return torch.cat([network.features(as_input(part)) for part in torch.split(images, BATCH)])


def as_input(images: Tensor) -> Tensor:
    """Images `(N, 28, 28)` or `(N, 784)`, uint8 or float in [0, 1] → float32 `(N, 1, 28, 28)` in [0, 1] on the CPU."""
    scaled = images.cpu().float() / 255 if images.dtype == torch.uint8 else images.cpu().float()
    return scaled.reshape(-1, 1, SIDE, SIDE)
