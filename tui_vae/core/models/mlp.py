"""The fully connected variational autoencoder, which is the default."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from tui_vae.core.models.vae import ACTIVATIONS, NORMS, OUTPUTS, VAE


def hidden_layers(widths: Sequence[int], activation: str, norm: str) -> list[nn.Module]:
    """Linear layers from each width to the next; each is followed by its normalization, if any, and its activation."""
    stack: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        stack.append(nn.Linear(inner, outer))
        if norm != "none":
            stack.append(NORMS[norm].of_features(outer))
        stack.append(ACTIVATIONS[activation].module())
    return stack


class MLP(VAE):
    """Fully connected layers; the decoder mirrors the encoder.

    Args:
        pixels: D, pixels of an image.
        hidden: widths of the encoder's hidden layers, from the image to z.
        latent_dim: dimensions of z.
        activation: a key of `ACTIVATIONS`.
        norm: a key of `NORMS`, between each hidden layer and its activation; or `none`.
        output: a key of `OUTPUTS`, applied to the decoder's last layer.
    """

    def __init__(
        self, pixels: int, hidden: Sequence[int], latent_dim: int, activation: str, norm: str, output: str
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.latent_dim = latent_dim
        self.has_logits = output == "logits"
        inwards, outwards = [pixels, *hidden], [latent_dim, *reversed(hidden)]
        # μ and log σ² come from one head: one matrix product instead of two.
        self.encoder = nn.Sequential(*hidden_layers(inwards, activation, norm), nn.Linear(inwards[-1], 2 * latent_dim))
        self.decoder = nn.Sequential(
            *hidden_layers(outwards, activation, norm), nn.Linear(outwards[-1], pixels), OUTPUTS[output].module()
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(z)
        return decoded

    def decode_logits(self, z: Tensor) -> Tensor:
        logits: Tensor = self.decoder[:-1](z)
        return logits
