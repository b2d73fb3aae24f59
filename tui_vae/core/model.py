"""The fully connected variational autoencoder (Kingma & Welling 2014, https://arxiv.org/abs/1312.6114)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}
OUTPUTS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}


class VAE(nn.Module):
    """Encoder → μ, log σ² → z = μ + σ·ε → decoder, all fully connected; the decoder mirrors the encoder.

    Images are flat, `(N, pixels)`, with values in [-1, 1].

    Args:
        pixels: D, pixels of an image.
        hidden: widths of the encoder's hidden layers, from the image inwards.
        latent_dim: dimensions of z.
        activation: a key of `ACTIVATIONS`.
        norm: `layer` puts a LayerNorm between each hidden layer and its activation, `none` nothing.
        output: a key of `OUTPUTS`, applied to the decoder's last layer.
    """

    def __init__(
        self, pixels: int, hidden: Sequence[int], latent_dim: int, activation: str, norm: str, output: str
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.latent_dim = latent_dim

        def layers(widths: Sequence[int]) -> list[nn.Module]:
            stack: list[nn.Module] = []
            for inner, outer in pairwise(widths):
                stack.append(nn.Linear(inner, outer))
                if norm == "layer":
                    stack.append(nn.LayerNorm(outer))
                stack.append(ACTIVATIONS[activation]())
            return stack

        inwards, outwards = [pixels, *hidden], [latent_dim, *reversed(hidden)]
        # μ and log σ² come from one head: one matrix product instead of two.
        self.encoder = nn.Sequential(*layers(inwards), nn.Linear(inwards[-1], 2 * latent_dim))
        self.decoder = nn.Sequential(*layers(outwards), nn.Linear(outwards[-1], pixels), OUTPUTS[output]())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, pixels)` in [-1, 1] → μ and log σ² of q(z|x), each `(N, latent_dim)`."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → x̂ `(N, pixels)`, on the [-1, 1] scale."""
        decoded: Tensor = self.decoder(z)
        return decoded


def sample_posterior(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z ~ q(z|x), reparameterized as μ + σ·ε with ε ~ N(0, I); shapes as μ, `(N, latent_dim)`."""
    noise = torch.empty_like(mu).normal_(generator=generator)
    return mu + torch.exp(0.5 * logvar) * noise


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
