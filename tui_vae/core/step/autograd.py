"""The training step of any model and objective: PyTorch's autograd."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tui_vae.core.models.vae import VAE, reparameterize
from tui_vae.core.objectives import Objective, kl_per_dimension, squared_error
from tui_vae.core.pixels import normalize
from tui_vae.core.ranks import ALONE, Ranks, draw_noise, rows_of_all
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.muon import Muon
from tui_vae.core.step.shared_norm import share_norms


class AutogradStep:
    """Learns from batches: forward, backward and the optimizer, in PyTorch's own kernels.

    Args:
        parameters: the vector that the model's parameters are views of (`flatten_parameters`).
        bfloat16: whether autocast computes matrix products and convolutions in bfloat16.
        train_size: images of the training set, for the estimate of the total correlation.
        counts_white: whether to count white pixels (the last figure), which costs an operation on the images.
        ranks: those that share each batch.

    Attributes:
        sums: see `choose.Step`.
    """

    def __init__(
        self, model: VAE, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam | Muon, bfloat16: bool,
        train_size: int, counts_white: bool, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        self._model, self._objective = model, objective
        self._parameters, self._optimizer = parameters, optimizer
        self._bfloat16 = bfloat16
        self._train_size = train_size
        self._counts_white = counts_white
        self._ranks = ranks
        dtype = torch.float64 if parameters.device.type != "mps" else torch.float32  # which has no float64
        self.sums = torch.zeros(4, dtype=dtype, device=parameters.device)
        self._shares_norms = ranks.world > 1 and share_norms(model, ranks)

    def __call__(
        self, images: Tensor, generator: torch.Generator, lr: float | Tensor, beta: float | Tensor,
        count: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Do one step on images `(N, …)`, with noise from `generator`; see `Step`. Never waits for the device."""
        model, ranks, device = self._model, self._ranks, images.device
        count = len(images) if count is None else count
        assert self._parameters.grad is not None
        self._parameters.grad.zero_()
        noise = draw_noise(ranks, count, model.latent_dim, generator)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            distortion, z, mu, logvar, seen = self._forward(images, noise)
            if ranks.world > 1:  # each rank knows all of the batch, and so its loss, whatever that is a function of
                width = model.latent_dim
                rows = rows_of_all(ranks, torch.cat([distortion[:, None], seen, z, mu, logvar], dim=1), count)
                seen, (z, mu, logvar) = rows[:, 1:3].detach(), rows[:, 3:].split(width, dim=1)
                distortion = rows[:, 0]
            loss = self._objective.loss(distortion, z, mu, logvar, beta, model.pixels, self._train_size)
        if loss.requires_grad:
            loss.backward()
        ranks.add_up(self._parameters.grad)
        self._optimizer.step(lr)
        with torch.no_grad():
            recon, white = seen.mean(dim=0)
            figures = torch.stack([loss.detach(), recon, kl_per_dimension(mu, logvar).sum(dim=1).mean(), white])
            self.sums.add_(figures, alpha=count)
            return figures

    def _forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The distortion `(N,)` of images `(N, …)`; z, μ and log σ², each `(N, latent_dim)`; recon and the share of
        white pixels of each image, `(N, 2)`, without gradients."""
        model = self._model
        if not len(images) and not self._shares_norms:  # a network of the user's own need not bear a batch of none
            return noise.new_zeros(0), noise, noise, noise, noise.new_zeros(0, 2)
        x = normalize(images)
        mu, logvar = model.encode(x)
        mu, logvar = mu.float(), logvar.float()
        z = reparameterize(mu, logvar, noise)
        decoded, distortion = self._objective.decode(model, z, x)
        with torch.no_grad():
            recon = squared_error(decoded, x)
            white = _white_hits(decoded, images) if self._counts_white else torch.zeros_like(recon)
            return distortion, z, mu, logvar, torch.stack([recon, white], dim=1)

    def parameters_changed(self) -> None:
        """Nothing here depends on the parameters' values."""


def _white_hits(decoded: Tensor, images: Tensor) -> Tensor:
    """The notebook's "accuracy": a binarized output in {0, 1} equals an input in [-1, 1] only where both are 1.

    `decoded` is `(N, D)`, `images` uint8 or float32 in [0, 1]; the share of each image's pixels, `(N,)`.
    """
    white = 255 if images.dtype == torch.uint8 else 1
    return ((decoded > 0.5) & (images.flatten(1) == white)).float().mean(dim=1)
