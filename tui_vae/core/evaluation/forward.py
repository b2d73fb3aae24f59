"""Forward passes of a network in evaluation mode: encode images, decode latents, reconstruct images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_vae.core.models.vae import VAE
from tui_vae.core.pixels import normalize, to_unit_interval

BATCH = 1000
"""Images in one forward pass, where a whole set of images goes through the network."""

LARGE_IMAGE = 4096
"""Numbers of an image of 64 × 64 grey pixels. Of larger ones fewer go through at once, or memory would not suffice:
a thousand images of 256 × 256 in colour are 0.8 GB, and as much again for each layer of their size."""


def at_once(most: int, pixels: int) -> int:
    """How many images of D = `pixels` numbers go through a network at once, where `most` smaller ones would."""
    return max(1, most * LARGE_IMAGE // max(pixels, LARGE_IMAGE))


@contextmanager
def evaluation_mode(model: VAE) -> Iterator[None]:
    """Puts the model into evaluation mode, and back into its former mode at the end, also after an exception."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.inference_mode()
def encode(model: VAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images `(N, …)` on the model's device → μ and log σ² of q(z|x), `(N, latent_dim)`, in one pass."""
    with evaluation_mode(model):
        return model.encode(normalize(images))


@torch.inference_mode()
def decode(model: VAE, z: Tensor) -> Tensor:
    """z `(N, latent_dim)` on the model's device → images `(N, D)` in [0, 1], in one pass."""
    with evaluation_mode(model):
        return to_unit_interval(model.decode(z))


@dataclass(frozen=True)
class Reconstruction:
    """Images decoded at z = μ, and how far they are from the originals. All tensors are on the model's device.

    images: `(N, D)` float32 in [0, 1]. mu, logvar: of q(z|x), `(N, latent_dim)`.
    mse: `(N,)`, each image's mean squared error a pixel on [0, 1].
    """

    images: Tensor
    mu: Tensor
    logvar: Tensor
    mse: Tensor


@torch.inference_mode()
def reconstruct(model: VAE, images: Tensor) -> Reconstruction:
    """Reconstruct images `(N, …)` on the model's device, in batches of `BATCH`."""
    parts = []
    with evaluation_mode(model):
        for batch in torch.split(images, at_once(BATCH, model.pixels)):
            x = normalize(batch)
            mu, logvar = model.encode(x)
            decoded = to_unit_interval(model.decode(mu))
            mse = (decoded - to_unit_interval(x)).square().mean(dim=1)
            parts.append((decoded, mu, logvar, mse))
    return Reconstruction(*(torch.cat(column) for column in zip(*parts, strict=True)))
