"""One gradient step, and everything that it changes: weights, optimizer, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.own import WrappedModel
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import kl_per_dimension, make_objective, squared_error
from tui_vae.core.pixels import normalize
from tui_vae.core.seeds import derived_seed
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.cpu import CPUStep
from tui_vae.core.step.cuda_graph import CapturedStep, Recorder, cuda_graph
from tui_vae.core.step.flat import flatten_parameters, half_twin
from tui_vae.core.step.fused import FusedStep, can_fuse
from tui_vae.core.step.gpu import GPUStep
from tui_vae.core.step.handwritten import HandwrittenStep, Matrices, Result, can_differentiate
from tui_vae.core.step.kernels import Kernels, load_kernels
from tui_vae.errors import first_line

SLOWLY = "steps are made of PyTorch's own kernels, which takes longer"
ONE_BY_ONE = "steps are launched one by one: this model's cannot be captured in a CUDA graph"


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


class Learner:
    """A model that learns from images on its device.

    No step waits for the device: sums gather there, and `take_means` reads them. From here on the model's parameters
    are views of one vector; it must not be moved to another device any more.
    """

    def __init__(
        self, config: RunConfig, model: VAE, device: torch.device, *, images: int = 60_000,
        warn: Callable[[str, str], None] = lambda what, why: None, record: Recorder | None = None,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        """Args:
        images: how many there are in all to learn from, which the total correlation's estimate depends on.
        warn: told, once each, what makes steps slower than they might be, and why.
        record: how they are captured; by default as CUDA graphs, on CUDA.
        kernels: what steps are made of; by default the best that there are.
        """
        self.model = model.to(device).train()
        self.device = device
        self._pixels = model.pixels
        self._objective = make_objective(config)
        self._of_images = images
        self._free_bits = config.free_bits
        self._half = config.precision == "bfloat16"
        self._draws = isinstance(model, WrappedModel)  # it may have dropout; ours have none
        self._counts_white = config.preset == "seed"
        self._parameters = flatten_parameters(model)
        self.optimizer = FlatAdam(self._parameters, config.weight_decay)
        self._noise = torch.Generator(device).manual_seed(derived_seed(config.seed, 0, 1))
        self._sums = torch.zeros(4, dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
        self._images = 0

        self._twin: Tensor | None = None
        self._fused: FusedStep | None = None
        self._step_by_hand: HandwrittenStep | None = None
        kernels = load_kernels(device.type) if kernels is None else kernels
        if isinstance(model, MLP) and device.type in ("cpu", "cuda"):
            self._write_out_step(model, config.batch_size, kernels, warn)
        self.kernels = kernels.level if self._fused else "none"
        """What its steps are made of: a level of `Kernels`."""

        if record is None and device.type == "cuda":
            if isinstance(model, WrappedModel):
                warn(ONE_BY_ONE, "it is a network of the user's own, whose Python may do another thing in every step")
            else:
                record = cuda_graph
        self._captured = (
            CapturedStep(
                self._learn, device, lambda: self._noise, self._renew_noise, lambda why: warn(ONE_BY_ONE, why), record
            )
            if record
            else None
        )  # fmt: skip

    def _write_out_step(self, model: MLP, batch: int, kernels: Kernels, warn: Callable[[str, str], None]) -> None:
        """Do without autograd where every layer and the objective are known; best with kernels of our own."""
        can_use_kernels = can_fuse(model, self._objective)
        can_write_out = can_differentiate(model) and self._objective.is_closed
        if not can_use_kernels and not can_write_out:
            return
        matrices: Matrices = {}
        if self._half:
            self._twin, matrices = half_twin(model, self._parameters, torch.bfloat16)
        if can_use_kernels:
            self._fused = self._compiled_step(kernels, model, batch, warn)
        if self._fused is None and can_write_out:
            self._step_by_hand = HandwrittenStep(model, matrices)
        elif self._fused is None:
            self._twin = None

    def _compiled_step(
        self, kernels: Kernels, model: MLP, batch: int, warn: Callable[[str, str], None]
    ) -> FusedStep | None:
        """The fused step; None where there are no kernels, or a GPU's cannot be compiled or are not to be trusted."""
        what = model, self._objective, self._parameters, self.optimizer, self._twin
        if not kernels:
            if self.device.type == "cuda":
                warn(SLOWLY, kernels.reason)
            return None
        if kernels.level != "triton":
            return CPUStep(kernels, *what)
        try:
            step = GPUStep(kernels.library, *what, batch)
            step.rehearse()
        except torch.OutOfMemoryError:
            raise  # which says nothing of kernels; and a run that is resumed should go on with those that it had
        except Exception as error:  # of a driver, a compiler, its compiler: all the same, there is another way
            warn(SLOWLY, first_line(error))
            return None
        return step

    def step(self, images: Tensor, lr: float, beta: float) -> None:
        """Learn from images `(N, height, width)`, uint8 or float32 in [0, 1], on the device."""
        if self._captured is not None:
            self._captured(images, lr, beta)
        else:
            self._learn(images, lr, beta)
        self._images += len(images)

    def _learn(self, images: Tensor, lr: float | Tensor, beta: float | Tensor) -> None:
        """Everything of a step that happens on the device; it must never wait for it."""
        if self._fused is not None:
            self._sums.add_(self._fused(images, self._noise, lr, beta), alpha=len(images))
            return
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
            z = mu + torch.exp(0.5 * logvar) * noise
            decoded, distortion = self._objective.decode(self.model, z, x)
            loss = self._objective.loss(distortion, z, mu, logvar, beta, self._pixels, self._of_images)
        assert self._parameters.grad is not None
        self._parameters.grad.zero_()
        loss.backward()
        with torch.no_grad():
            recon = squared_error(decoded, x).mean()
            return Result(loss.detach(), recon, kl_per_dimension(mu, logvar).sum(dim=1).mean(), decoded.detach())

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
        if self._draws:
            tensors["rng"] = self._global_rng().get_state()
        return tensors

    def is_finite(self) -> bool:
        """Whether all weights are numbers. Once one is not, no step mends it."""
        return bool(torch.isfinite(self._parameters).all())

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
        self._restore_generator(self._noise, tensors["noise"])
        if self._draws:
            self._restore_generator(self._global_rng(), tensors["rng"])

    def _global_rng(self) -> torch.Generator:
        """What dropout draws from."""
        if self.device.type == "cuda":
            return torch.cuda.default_generators[self.device.index or 0]
        return torch.default_generator

    @staticmethod
    def _restore_generator(generator: torch.Generator, state: Tensor) -> None:
        """It goes on where it was; on another kind of device its state does not fit, and it starts afresh."""
        if state.shape == generator.get_state().shape:
            generator.set_state(state)

    def _renew_noise(self, state: Tensor) -> None:
        self._noise = torch.Generator(self.device)
        self._noise.set_state(state)

    @staticmethod
    def _white_hits(decoded: Tensor, images: Tensor) -> Tensor:
        """The notebook's "accuracy": a binarized output in {0, 1} equals an input in [-1, 1] only where both are 1."""
        white = 255 if images.dtype == torch.uint8 else 1
        return ((decoded > 0.5) & (images.flatten(1) == white)).float().mean()


def restore_weights(model: VAE, tensors: dict[str, Tensor]) -> None:
    """Load the `model.` tensors of a checkpoint.

    Raises:
        RuntimeError: they are not of this model.
    """
    prefix = "model."
    model.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
