"""Building the network that a run's configuration asks for."""

from __future__ import annotations

from math import prod

import torch

from tui_vae.config import RunConfig
from tui_vae.core.models.conv import ConvVAE
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.own import load_own_model
from tui_vae.core.models.vae import VAE
from tui_vae.core.pixels import full_shape


def build_model(config: RunConfig, shape: tuple[int, ...]) -> VAE:
    """The run's network with its initial weights, for images of `shape`: (channels, height, width), or (height, width)
    of grey ones.

    The weights are drawn on the CPU from the run's seed, so that they are the same on every device.

    Raises:
        UserError: the model is the user's own class, and it cannot be used.
    """
    torch.manual_seed(config.seed)
    if ":" in config.model:
        return load_own_model(full_shape(shape), config)
    output = config.output if config.output != "auto" else "logits" if config.objective == "bce" else "tanh"
    layers = (config.hidden, config.latent_dim, config.activation, config.norm, output)
    return ConvVAE(full_shape(shape), *layers) if config.model == "conv" else MLP(prod(shape), *layers)
