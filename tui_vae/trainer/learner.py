"""One gradient step, and everything that it changes: weights, optimizer, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.core.adam import FlatAdam
from tui_vae.core.flat import flatten_parameters, half_twin
from tui_vae.core.handwritten import HandwrittenStep, Matrices, Result, can_differentiate
from tui_vae.core.metrics import normalize
from tui_vae.core.model import VAE
from tui_vae.core.objectives import OBJECTIVES, kl_per_dimension, squared_error, with_free_bits
from tui_vae.trainer.captured import CapturedStep, Recorder, cuda_graph


@dataclass(frozen=True)
class Means:
    """Means over `images` images; `white_hits` is the share of pixels that the original notebook calls accuracy."""

    images: int = 0
    loss: float = 0.0
    recon: float = 0.0
    kl: float = 0.0
    white_hits: float = 0.0

    @staticmethod
    def from_list(values: list[float]) -> Means:
        """The inverse of `astuple`; an empty list is no images."""
        return Means(int(values[0]), *values[1:]) if values else Means()

    def __add__(self, other: Means) -> Means:
        """The means over the images of both."""
        images = self.images + other.images
        if not images:
            return self
        pairs = zip(astuple(self)[1:], astuple(other)[1:], strict=True)
        return Means(images, *((mine * self.images + theirs * other.images) / images for mine, theirs in pairs))


def build_model(config: RunConfig, pixels: int) -> VAE:
    """The run's network with its initial weights, drawn on the CPU from the run's seed: the same on every device."""
    torch.manual_seed(config.seed)
    return VAE(pixels, config.hidden, config.latent_dim, config.activation, config.norm, config.output)


def derived_seed(*numbers: int) -> int:
    """A seed from several numbers, such as (seed, epoch), without accidental overlaps."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def epoch_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order of the training images in an epoch, `(count,)` int64: from (seed, epoch) alone, without state."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(derived_seed(seed, epoch)))


class Learner:
    """A model that learns from uint8 images on its device.

    No step waits for the device: sums gather there, and `take_means` reads them. From here on the model's parameters
    are views of one vector; it must not be moved to another device any more.
    """

    def __init__(
        self, config: RunConfig, model: VAE, device: torch.device, warn: Callable[[str], None] = lambda why: None,
        record: Recorder | None = None,
    ) -> None:  # fmt: skip
        """`warn`: told once why steps cannot be captured. `record`: how they are; by default CUDA graphs, on CUDA."""
        self.model = model.to(device).train()
        self.device = device
        self._pixels = model.pixels
        self._objective = OBJECTIVES[config.objective]
        self._free_bits = config.free_bits
        self._half = config.precision == "bfloat16"
        self._counts_white = config.preset == "seed"
        self._parameters = flatten_parameters(model)
        written_out = device.type in ("cpu", "cuda") and can_differentiate(model)
        self._twin: Tensor | None = None
        matrices: Matrices = {}
        if written_out and self._half:
            self._twin, matrices = half_twin(model, self._parameters, torch.bfloat16)
        self._step_by_hand = HandwrittenStep(model, matrices) if written_out else None
        self.optimizer = FlatAdam(self._parameters)
        self._noise = torch.Generator(device).manual_seed(derived_seed(config.seed, 0, 1))
        self._sums = torch.zeros(4, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
        self._images = 0

        if record is None and device.type == "cuda":
            record = cuda_graph
        self._captured = (
            CapturedStep(self._learn, device, lambda: self._noise, self._renew_noise, warn, record) if record else None
        )

    def step(self, images: Tensor, lr: float, beta: float) -> None:
        """Learn from uint8 images `(N, height, width)` on the device."""
        if self._captured is not None:
            self._captured(images, lr, beta)
        else:
            self._learn(images, lr, beta)
        self._images += len(images)

    def _learn(self, images: Tensor, lr: float | Tensor, beta: float | Tensor) -> None:
        """Everything of a step that happens on the device; it must never wait for it."""
        x = normalize(images)
        noise = torch.empty(len(images), self.model.latent_dim, device=self.device).normal_(generator=self._noise)
        if self._step_by_hand is not None:
            result = self._step_by_hand(x, noise, self._objective, beta, self._free_bits)
        else:
            result = self._step_by_autograd(x, noise, beta)
        self.optimizer.step(lr)
        with torch.no_grad():
            if self._twin is not None:
                self._twin.copy_(self._parameters)
            sums = torch.stack([result.loss, result.recon, result.kl])
            self._sums[:3].add_(sums, alpha=len(images))
            if self._counts_white:
                self._sums[3].add_(self._white_hits(result.decoded, images), alpha=len(images))

    def _step_by_autograd(self, x: Tensor, noise: Tensor, beta: float | Tensor) -> Result:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._half):
            mu, logvar = self.model.encode(x)
            mu, logvar = mu.float(), logvar.float()
            decoded = self.model.decode(mu + torch.exp(0.5 * logvar) * noise)
        decoded = decoded.float()
        recon = squared_error(decoded, x).mean()
        kl_dims = kl_per_dimension(mu, logvar)
        loss = self._objective(recon, with_free_bits(kl_dims, self._free_bits), beta, self._pixels)
        assert self._parameters.grad is not None
        self._parameters.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        return Result(loss.detach(), recon.detach(), kl_dims.detach().mean(dim=0).sum(), decoded.detach())

    def take_means(self) -> Means:
        """Means over everything learnt from since the last call; waits for the device."""
        sums = self._sums.tolist()
        images = self._images
        self._sums.zero_()
        self._images = 0
        return Means(images, *(value / images for value in sums)) if images else Means()

    def tensors(self) -> dict[str, Tensor]:
        """Weights, optimizer and noise under names for a checkpoint."""
        tensors = self.weights()
        tensors.update({f"adam.{name}": value for name, value in self.optimizer.tensors().items()})
        tensors["noise"] = self._noise.get_state()
        return tensors

    def weights(self) -> dict[str, Tensor]:
        return {f"model.{name}": value for name, value in self.model.state_dict().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up where `tensors()` left off.

        Raises:
            KeyError, RuntimeError: they are not of this model.
        """
        restore_weights(self.model, tensors)
        if self._twin is not None:
            self._twin.copy_(self._parameters.detach())
        prefix = "adam."
        state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if state:  # before its first step, an older checkpoint has none
            self.optimizer.restore(state)
        self.restore_noise(tensors["noise"])

    def restore_noise(self, state: Tensor) -> None:
        """The noise goes on where it was; on another kind of device its state does not fit, and it starts afresh."""
        if state.shape == self._noise.get_state().shape:
            self._noise.set_state(state)

    def _renew_noise(self, state: Tensor) -> None:
        self._noise = torch.Generator(self.device)
        self._noise.set_state(state)

    @staticmethod
    def _white_hits(decoded: Tensor, images: Tensor) -> Tensor:
        """The notebook's "accuracy": a binarized output in {0, 1} equals an input in [-1, 1] only where both are 1."""
        return ((decoded > 0.5) & (images.flatten(1) == 255)).float().mean()


def restore_weights(model: VAE, tensors: dict[str, Tensor]) -> None:
    """Load the `model.` tensors of a checkpoint.

    Raises:
        RuntimeError: they are not of this model.
    """
    prefix = "model."
    model.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
