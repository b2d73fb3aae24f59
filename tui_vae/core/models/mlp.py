"""The fully connected variational autoencoder, which is the default."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from tui_vae.core.models.vae import ACTIVATIONS, NORMS, OUTPUTS, SequentialVAE


def hidden_layers(widths: Sequence[int], activation: str, norm: str) -> list[nn.Module]:
    """Linear layers from each width to the next; each is followed by its normalization, if any, and its activation."""
    stack: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        stack.append(nn.Linear(inner, outer))
        if norm != "none":
            stack.append(NORMS[norm].of_features(outer))
        stack.append(ACTIVATIONS[activation].module())
    return stack


class MLP(SequentialVAE):
    """Fully connected layers; the decoder mirrors the encoder.

    Args:
        pixels: D, the numbers of an image: channels · height · width.
        hidden: widths of the encoder's hidden layers, from the image to z.
        latent_dim: dimensions of z.
        activation: a key of `ACTIVATIONS`.
        norm: a key of `NORMS`, between each hidden layer and its activation; or `none`.
        output: a key of `OUTPUTS`, applied to the decoder's last layer.
    """

    def __init__(
        self, pixels: int, hidden: Sequence[int], latent_dim: int, activation: str, norm: str, output: str
    ) -> None:
        super().__init__(pixels, latent_dim, has_logits=output == "logits")
        inwards, outwards = [pixels, *hidden], [latent_dim, *reversed(hidden)]
        self.encoder = nn.Sequential(*hidden_layers(inwards, activation, norm), nn.Linear(inwards[-1], 2 * latent_dim))
        self.decoder = nn.Sequential(
            *hidden_layers(outwards, activation, norm), nn.Linear(outwards[-1], pixels), OUTPUTS[output].module()
        )
