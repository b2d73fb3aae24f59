"""A small convolutional variational autoencoder, to compare with the fully connected one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from tui_vae.config.convolutions import CHANNELS, halvings
from tui_vae.core.models.mlp import hidden_layers
from tui_vae.core.models.vae import ACTIVATIONS, NORMS, OUTPUTS, SequentialVAE
from tui_vae.core.pixels import full_shape


def _norm_and_activation(norm: str, activation: str, channels: int) -> list[nn.Module]:
    """The layers after a convolution."""
    normalization = [] if norm == "none" else [NORMS[norm].of_channels(channels)]
    return [*normalization, ACTIVATIONS[activation].module()]


class ConvVAE(SequentialVAE):
    """Strided convolutions in front of the fully connected layers; the decoder mirrors the encoder.

    Each convolution has a 4 × 4 kernel and halves the image's sides; the larger the image, the more of them.

    Args:
        shape: channels, height and width of an image, of 4 to 256 pixels a side; without channels it is grey.
        hidden: widths of the fully connected layers between the convolutions and z.
        latent_dim, activation, norm, output: as in `MLP`.
    """

    def __init__(
        self, shape: tuple[int, ...], hidden: Sequence[int], latent_dim: int, activation: str, norm: str, output: str
    ) -> None:
        colours, height, width = full_shape(shape)
        super().__init__(colours * height * width, latent_dim, has_logits=output == "logits")
        channels = [colours, *CHANNELS[: halvings(height, width)]]
        sizes = [(height, width)]
        for _ in channels[1:]:
            sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
        inwards: list[nn.Module] = [nn.Unflatten(1, (colours, height, width))]
        outwards: list[nn.Module] = [nn.Flatten()]
        for place, (outer, inner) in enumerate(pairwise(channels)):
            inwards += [nn.Conv2d(outer, inner, 4, stride=2, padding=1), *_norm_and_activation(norm, activation, inner)]
            # Halving drops an odd row or column; `output_padding` adds it again.
            (tall, wide), (low, narrow) = sizes[place], sizes[place + 1]
            back = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1,
                                      output_padding=(tall - 2 * low, wide - 2 * narrow))  # fmt: skip
            finish = [] if place == 0 else _norm_and_activation(norm, activation, outer)
            outwards = [back, *finish, *outwards]
        features = (channels[-1], *sizes[-1])
        widths = [features[0] * features[1] * features[2], *hidden]
        self.encoder = nn.Sequential(
            *inwards, nn.Flatten(), *hidden_layers(widths, activation, norm), nn.Linear(widths[-1], 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            *hidden_layers([latent_dim, *reversed(widths)], activation, norm), nn.Unflatten(1, features), *outwards,
            OUTPUTS[output].module(),
        )  # fmt: skip
