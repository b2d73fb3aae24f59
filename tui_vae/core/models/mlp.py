"""What every variational autoencoder here can do, and the fully connected one, which is the default.

Kingma & Welling 2014, https://arxiv.org/abs/1312.6114.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Tanh(nn.Module):
    """tanh x as 2·σ(2x) - 1, to 1e-7: on a CPU in a third of the time of `torch.tanh`."""

    def forward(self, x: Tensor) -> Tensor:
        return (2 * x).sigmoid() * 2 - 1


class Logits(nn.Module):
    """The output of a Bernoulli decoder on the [-1, 1] scale: 2·p̂ - 1 with p̂ = sigmoid(logit)."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits.sigmoid() * 2 - 1


ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}
NORMS: dict[str, type[nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
OUTPUTS: dict[str, type[nn.Module]] = {
    "tanh": Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity, "logits": Logits,
}  # fmt: skip


class VAE(nn.Module):
    """Encoder → μ, log σ² of q(z|x); z → decoder → x̂. Images are flat, `(N, pixels)`, with values in [-1, 1].

    pixels: D, pixels of an image. latent_dim: dimensions of z.
    has_logits: whether `decode_logits` is there, which objective `bce` is then computed from.
    """

    pixels: int
    latent_dim: int
    has_logits = False

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, pixels)` in [-1, 1] → μ and log σ² of q(z|x), each `(N, latent_dim)`."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → x̂ `(N, pixels)`, on the [-1, 1] scale."""
        raise NotImplementedError

    def decode_logits(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → the logits of p̂ = (x̂ + 1)/2, `(N, pixels)`."""
        raise NotImplementedError


def hidden_layers(widths: Sequence[int], activation: str, norm: str) -> list[nn.Module]:
    """Linear layers from each width to the next, each followed by its normalization, if any, and its activation."""
    stack: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        stack.append(nn.Linear(inner, outer))
        if norm != "none":
            stack.append(NORMS[norm](outer))
        stack.append(ACTIVATIONS[activation]())
    return stack


class MLP(VAE):
    """All fully connected; the decoder mirrors the encoder.

    Args:
        pixels: D, pixels of an image.
        hidden: widths of the encoder's hidden layers, from the image inwards.
        latent_dim: dimensions of z.
        activation: a key of `ACTIVATIONS`.
        norm: a key of `NORMS`, put between each hidden layer and its activation, or `none`.
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
            *hidden_layers(outwards, activation, norm), nn.Linear(outwards[-1], pixels), OUTPUTS[output]()
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


def sample_posterior(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z ~ q(z|x), reparameterized as μ + σ·ε with ε ~ N(0, I); shapes as μ, `(N, latent_dim)`."""
    noise = torch.empty_like(mu).normal_(generator=generator)
    return mu + torch.exp(0.5 * logvar) * noise


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
