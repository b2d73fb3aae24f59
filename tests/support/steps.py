"""Small networks and images for training steps, autograd's results for them, and recorders in place of a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tui_vae.config import RunConfig, make_config
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import NORMS, VAE
from tui_vae.core.objectives import Objective, kl_per_dimension, squared_error
from tui_vae.core.pixels import channels_first, normalize
from tui_vae.core.step.fused_step import Norm
from tui_vae.trainer.learner import Learner

SIDE, LATENT, BETA, LR = 7, 5, 1.7, 1e-3
IN_ALL = 200  # images of the training set that batches are taken from
IMAGES = torch.randint(0, 256, (90, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def model(
    hidden: tuple[int, ...] = (24, 17), activation: str = "silu", norm: str = "layer", output: str = "tanh"
) -> MLP:
    torch.manual_seed(0)
    return MLP(SIDE * SIDE, hidden, LATENT, activation, norm, output)


def norms_with_kernels() -> list[str]:
    """Names of normalizations that have kernels; those of activations and outputs are in `fused_step`."""
    return [name for name, row in NORMS.items() if isinstance(row.of_features(3), Norm)]


def images(count: int = 13) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(0, 512, (count, SIDE, SIDE), generator=generator)  # half of the pixels are white
    return drawn.clamp(max=255).to(torch.uint8)


def by_autograd(vae: VAE, batch: Tensor, noise: Tensor, objective: Objective) -> tuple[Tensor, ...]:
    """Loss, recon, KL and the legacy accuracy, in the precision of `vae`."""
    x = normalize(batch).to(noise.dtype)
    mu, logvar = vae.encode(x)
    z = mu + torch.exp(0.5 * logvar) * noise
    decoded, distortion = objective.decode(vae, z, x)
    loss = objective.loss(distortion, z, mu, logvar, BETA, vae.pixels, IN_ALL)
    white = ((decoded > 0.5) & (channels_first(batch) == 255)).to(noise.dtype).mean()
    return loss, squared_error(decoded, x).mean(), kl_per_dimension(mu, logvar).sum(dim=1).mean(), white


def config(**more: object) -> RunConfig:
    return make_config(
        {"hidden": "24,16", "latent-dim": 4, "batch-size": 16, "precision": "float32", "optimizer": "adam", **more}
    )


def assert_same(one: Learner, other: Learner) -> None:
    mine, theirs = one.tensors(), other.tensors()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.equal(value, theirs[name]), name


def into(notes: list[str]) -> Callable[[str, str], None]:
    return lambda what, why: notes.append(f"{what}: {why}")


def run_again(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """A recorder for machines without CUDA: to replay is to run again, on the same buffers."""
    return body


def refuse(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    raise RuntimeError("operation not permitted when stream is capturing\nmore about it")
