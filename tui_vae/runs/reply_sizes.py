"""How many images a reply holds."""

from __future__ import annotations

from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import FLOAT_BYTES

_REPLY_BYTES = 1024
"""Bytes, at most, of a `Reconstructions` apart from its images: the names of its keys, lengths, epoch, step, width."""

_IMAGE_BYTES = 2 + 9 + 9
"""Bytes, at most, of an image's label, and of its index and its error in MessagePack."""


def most_images(pixels: int, latent_dim: int = 0) -> int:
    """How many images of so many bytes one reply holds, each with its latent if that travels too."""
    return min(protocol.MAX_IMAGES, (protocol.MAX_FRAME - _REPLY_BYTES) // (pixels + FLOAT_BYTES * latent_dim))


def most_reconstructions(pixels: int, latent_dim: int) -> int:
    """How many images of so many bytes, each with its reconstruction and its μ, one reply holds."""
    room = protocol.MAX_FRAME - _REPLY_BYTES
    return min(protocol.MAX_IMAGES, room // (2 * pixels + FLOAT_BYTES * latent_dim + _IMAGE_BYTES))
