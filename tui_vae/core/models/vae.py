"""The base class of every variational autoencoder here, and the tables of layers that they are built from.

Kingma & Welling 2014, https://arxiv.org/abs/1312.6114.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Tanh(nn.Module):
    """tanh(x) as 2·sigmoid(2x) - 1: on a CPU it takes a third of the time of `torch.tanh`, and differs by 1e-7."""

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape → tanh(x) of the same."""
        if torch.is_inference_mode_enabled():  # the same in place: memory that was just written is in the cache
            return (2 * x).sigmoid_().mul_(2).sub_(1)
        return (2 * x).sigmoid() * 2 - 1


class Logits(nn.Module):
    """The output of a Bernoulli decoder on the [-1, 1] scale: x̂ = 2·p̂ - 1 with p̂ = sigmoid(logit)."""

    def forward(self, logits: Tensor) -> Tensor:
        """Logits `(N, …)` → x̂ of the same shape."""
        return logits.sigmoid() * 2 - 1


class Function(NamedTuple):
    """A function without parameters that a network applies to each number.

    Attributes:
        module: the class of its layer.
        kernel_code: its number in the C kernels (`EACH_ACTIVATION`, `EACH_OUTPUT` in `step/c/`), whose Triton twins
            know it by its name in the table. None where there are no kernels: autograd then does the steps.
    """

    module: type[nn.Module]
    kernel_code: int | None


class Norm(NamedTuple):
    """A normalization: what makes its layer for features `(N, width)`, and for channels `(N, channels, height, width)`.

    `layer` normalizes each image over all its features, or over all channels and places; `batch` normalizes each
    feature or channel over the images of a batch.
    """

    of_features: Callable[[int], nn.Module]
    of_channels: Callable[[int], nn.Module]


# The tables of everything that an option names. core/step/README.md lists every place to touch for a new row.
ACTIVATIONS = {"silu": Function(nn.SiLU, 0), "relu": Function(nn.ReLU, 1), "gelu": Function(nn.GELU, 2)}
OUTPUTS = {
    "tanh": Function(Tanh, 0), "sigmoid": Function(nn.Sigmoid, 1), "linear": Function(nn.Identity, 2),
    "logits": Function(Logits, 3),
}  # fmt: skip
NORMS = {
    "layer": Norm(nn.LayerNorm, lambda channels: nn.GroupNorm(1, channels)),
    "batch": Norm(nn.BatchNorm1d, nn.BatchNorm2d),
}


class VAE(nn.Module):
    """Encoder → μ, log σ² of q(z|x); z → decoder → x̂. Images are flat, `(N, pixels)`, one channel after the other, with
    values in [-1, 1].

    Attributes:
        pixels: D, the numbers of an image: channels · height · width.
        latent_dim: the number of dimensions of z.
        has_logits: whether the class has `decode_logits`; objective `bce` is then computed from the logits.
    """

    pixels: int
    latent_dim: int
    has_logits: bool

    def __init__(self, pixels: int, latent_dim: int, has_logits: bool) -> None:
        super().__init__()
        self.pixels = pixels
        self.latent_dim = latent_dim
        self.has_logits = has_logits

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, pixels)` in [-1, 1] → μ and log σ² of q(z|x), each `(N, latent_dim)`."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → x̂ `(N, pixels)`, on the [-1, 1] scale."""
        raise NotImplementedError

    def decode_logits(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → the logits of p̂ = (x̂ + 1)/2, `(N, pixels)`."""
        raise NotImplementedError


class SequentialVAE(VAE):
    """An encoder and a decoder that are sequences of layers.

    Attributes:
        encoder: images → μ and log σ² side by side, `(N, 2 · latent_dim)`, from one head: one matrix product, not two.
        decoder: z → x̂; its last layer is the output function.
    """

    encoder: nn.Sequential
    decoder: nn.Sequential

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, pixels)` → μ and log σ², each `(N, latent_dim)`: the two halves of the encoder's output."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → x̂ `(N, pixels)`: the decoder's output."""
        decoded: Tensor = self.decoder(z)
        return decoded

    def decode_logits(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → logits `(N, pixels)`: what the decoder's last layer, its output function, is given."""
        logits: Tensor = self.decoder[:-1](z)
        return logits


def sample_posterior(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z ~ q(z|x); shapes as μ, `(N, latent_dim)`."""
    return reparameterize(mu, logvar, torch.empty_like(mu).normal_(generator=generator))


def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """z = μ + σ·ε, a sample of q(z|x) for `noise` ε ~ N(0, I); all shapes are `(N, latent_dim)`."""
    return mu + torch.exp(0.5 * logvar) * noise


def count_parameters(model: nn.Module) -> int:
    """The number of numbers in all parameters of `model`."""
    return sum(parameter.numel() for parameter in model.parameters())
