"""The training step of any model and objective: PyTorch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tui_vae.core.models.vae import VAE, reparameterize
from tui_vae.core.objectives import Objective, kl_per_dimension, squared_error
from tui_vae.core.pixels import normalize
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.muon import Muon


class AutogradStep:
    """Learns from batches: forward, backward and the optimizer, in PyTorch's own kernels.

    Args:
        parameters: the vector that the model's parameters are views of (`flatten_parameters`).
        bfloat16: whether autocast computes matrix products and convolutions in bfloat16.
        train_size: images of the training set, for the estimate of the total correlation.
        counts_white: whether to count white pixels (the last figure), which costs an operation on the images.
    """

    def __init__(
        self, model: VAE, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam | Muon, bfloat16: bool,
        train_size: int, counts_white: bool,
    ) -> None:  # fmt: skip
        self._model, self._objective = model, objective
        self._parameters, self._optimizer = parameters, optimizer
        self._bfloat16 = bfloat16
        self._train_size = train_size
        self._counts_white = counts_white

    def __call__(self, images: Tensor, generator: torch.Generator, lr: float | Tensor, beta: float | Tensor) -> Tensor:
        """Do one step on images `(N, …)`, with noise from `generator`; see `Step`. Never waits for the device."""
        model, objective, device = self._model, self._objective, images.device
        x = normalize(images)
        noise = torch.empty(len(images), model.latent_dim, device=device).normal_(generator=generator)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            mu, logvar = model.encode(x)
            mu, logvar = mu.float(), logvar.float()
            z = reparameterize(mu, logvar, noise)
            decoded, distortion = objective.decode(model, z, x)
            loss = objective.loss(distortion, z, mu, logvar, beta, model.pixels, self._train_size)
        assert self._parameters.grad is not None
        self._parameters.grad.zero_()
        loss.backward()
        self._optimizer.step(lr)
        with torch.no_grad():
            recon, kl = squared_error(decoded, x).mean(), kl_per_dimension(mu, logvar).sum(dim=1).mean()
            white = _white_hits(decoded, images) if self._counts_white else torch.zeros_like(recon)
            return torch.stack([loss.detach(), recon, kl, white])

    def parameters_changed(self) -> None:
        """Nothing here depends on the parameters' values."""


def _white_hits(decoded: Tensor, images: Tensor) -> Tensor:
    """The notebook's "accuracy": a binarized output in {0, 1} equals an input in [-1, 1] only where both are 1.

    `decoded` is `(N, D)`, `images` uint8 or float32 in [0, 1]; the share of all pixels, without dimensions.
    """
    white = 255 if images.dtype == torch.uint8 else 1
    return ((decoded > 0.5) & (images.flatten(1) == white)).float().mean()
