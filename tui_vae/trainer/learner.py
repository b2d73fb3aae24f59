"""A model that learns: its weights, its optimizer, its noise, and the step that changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.core.models.own import WrappedModel
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import make_objective
from tui_vae.core.ranks import ALONE, Ranks
from tui_vae.core.seeds import derived_seed
from tui_vae.core.step.choose import NO_CUDA_GRAPH, choose_step, make_optimizer
from tui_vae.core.step.cuda_graph import CudaGraphStep, Recorder, record_cuda_graph
from tui_vae.core.step.flat_parameters import flatten_parameters
from tui_vae.core.step.fused_step import FusedStep
from tui_vae.core.step.load_kernels import Kernels
from tui_vae.core.step.muon import Muon
from tui_vae.runs.events import Legacy

TRAIN_IMAGES = 60_000
"""Images of FashionMNIST's training set: the size of the set where a learner is not told another one."""

OPTIMIZERS = ("adam.", "muon.")
"""How the names of optimizers' states begin in a checkpoint."""


@dataclass(frozen=True)
class Means:
    """Means over `images` images; `legacy_accuracy` is the share of pixels that the notebook calls accuracy."""

    images: int = 0
    loss: float = 0.0
    recon: float = 0.0
    kl: float = 0.0
    legacy_accuracy: float = 0.0

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

    def legacy(self, batches: int, beta: float) -> Legacy:
        """The original notebook's figures: sums over each batch, averaged over `batches` batches, the KL times β."""
        batch = self.images / batches
        return Legacy(recon=self.recon * batch, kl=beta * self.kl * batch, accuracy=100 * self.legacy_accuracy)


class Learner:
    """A model that learns from images on its device.

    No step waits for the device: its sums stay there, and `take_means` reads them. The model's parameters become views
    of one vector, so that the model must not be moved to another device afterwards.
    """

    def __init__(
        self, config: RunConfig, model: VAE, device: torch.device, *, train_size: int = TRAIN_IMAGES,
        warn: Callable[[str, str], None] = lambda what, why: None, record: Recorder | None = None,
        kernels: Kernels | None = None, ranks: Ranks = ALONE,
    ) -> None:  # fmt: skip
        """Args:
        train_size: images of the training set, which the estimate of the total correlation depends on.
        warn: called once for each thing that makes steps slower than they could be, with its reason.
        record: how steps are recorded to be replayed; by default as CUDA graphs, on CUDA only.
        kernels: what steps are made of; by default the best kernels for the device.
        ranks: those that share each batch.
        """
        self.model = model.to(device).train()
        self.device = device
        self._has_dropout = isinstance(model, WrappedModel)  # the user's own model may; ours have none
        self._parameters = flatten_parameters(model)
        self.optimizer = make_optimizer(config, model, self._parameters, kernels)
        self._optimizer_name = config.optimizer
        self._noise = torch.Generator(device).manual_seed(derived_seed(config.seed, 0, 1))
        self._images = 0  # that the step's sums are of

        choice = choose_step(
            config, model, make_objective(config), self._parameters, self.optimizer, train_size, kernels, ranks
        )
        for what, why in choice.refusals:
            warn(what, why)
        self._step = choice.step
        self.kernels = choice.kernels
        """What steps are made of: a level of `Kernels`."""
        record = record_cuda_graph if record is None and choice.as_cuda_graph else record
        self._replayed: CudaGraphStep | None = None
        if record is not None:
            self._replayed = CudaGraphStep(
                self._learn_alone, device, lambda: self._noise, self._replace_noise,
                lambda why: warn(NO_CUDA_GRAPH, why), record,
            )  # fmt: skip

    def step(self, images: Tensor, lr: float, beta: float, count: int | None = None) -> None:
        """Learn from images `(N, height, width)`, uint8 or float32 in [0, 1], on the device.

        count: images of the batch on all ranks together, of which `images` are this one's; by default N.
        """
        count = len(images) if count is None else count
        if self._replayed is not None:
            self._replayed(images, lr, beta)
        else:
            self._learn(images, lr, beta, count)
        self._images += count

    def _learn(self, images: Tensor, lr: float | Tensor, beta: float | Tensor, count: int) -> None:
        """The part of a step that runs on the device; it must not synchronize with the device.

        images: `(N, height, width)`. lr, beta: numbers, or tensors without dimensions.
        """
        self._step(images, self._noise, lr, beta, count)

    def _learn_alone(self, images: Tensor, lr: float | Tensor, beta: float | Tensor) -> None:
        self._learn(images, lr, beta, len(images))

    def set_muon_ratio(self, ratio: float) -> None:
        """Set Muon's learning rate over Adam's, which `step` is given."""
        if isinstance(self.optimizer, Muon):
            self.optimizer.ratio.fill_(ratio)

    def take_means(self) -> Means:
        """Means over the images of all steps since the last call. Waits for the device."""
        sums = self._step.sums.tolist()
        images = self._images
        self._step.sums.zero_()
        self._images = 0
        return Means(images, *(value / images for value in sums)) if images else Means()

    def gradient_norms(self) -> tuple[float | None, float | None]:
        """The Euclidean norms of the last step's gradient, of the encoder's and of the decoder's parameters.

        None where the model does not call them so, as one of the user's own. Waits for the device.
        """
        trained = [(name, part) for name, part in self.model.named_parameters() if part.requires_grad]
        if isinstance(self._step, FusedStep):
            gradients = self._step.gradients()
        else:
            gradients = [part.grad for _, part in trained if part.grad is not None]
        norms: list[float | None] = []
        for half in ("encoder.", "decoder."):
            found = [gradient for (name, _), gradient in zip(trained, gradients, strict=False) if name.startswith(half)]
            norms.append(float(torch.stack([each.float().norm() for each in found]).norm()) if found else None)
        return norms[0], norms[1]

    def tensors(self) -> dict[str, Tensor]:
        """Weights, optimizer and random generators, under the names that a checkpoint gives them.

        Weights have their layers' shapes, an optimizer's moments `(P,)` that of the vector of all P parameters
        (padding included), its count of steps `()`; a generator's state is uint8 `(bytes,)`, on the CPU.
        """
        tensors = self.weights()
        tensors.update({f"{self._optimizer_name}.{name}": value for name, value in self.optimizer.tensors().items()})
        tensors["noise"] = self._noise.get_state()
        if self._has_dropout:
            tensors["rng"] = self._global_rng().get_state()
        return tensors

    def is_finite(self) -> bool:
        """Whether every weight is finite. Once one is not, no later step makes it finite again."""
        return bool(torch.isfinite(self._parameters).all())

    def weights(self) -> dict[str, Tensor]:
        """The model's parameters and buffers, of their layers' shapes, under the names that a checkpoint gives them."""
        return {f"model.{name}": value for name, value in self.model.state_dict().items()}

    def copied_weights(self) -> dict[str, Tensor]:
        """`weights()` as they are now, whatever steps follow. All parameters are copied at once."""
        flat = self._parameters.detach()
        copy, place = flat.clone(), flat.data_ptr()
        return {
            name: copy.as_strided(value.shape, value.stride(), value.storage_offset())
            if value.untyped_storage().data_ptr() == place
            else value.clone()
            for name, value in self.weights().items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from the state that `tensors()` gave, with the same names and shapes.

        Raises:
            KeyError, RuntimeError: it is the state of another model.
        """
        restore_weights(self.model, tensors)
        self._step.parameters_changed()
        prefix = f"{self._optimizer_name}."
        state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if any(
            name.startswith(OPTIMIZERS) for name in tensors
        ):  # an older version's from before its first step has none
            self.optimizer.restore(state)
        self._restore_generator(self._noise, tensors["noise"])
        if self._has_dropout:
            self._restore_generator(self._global_rng(), tensors["rng"])

    def _global_rng(self) -> torch.Generator:
        """The generator that dropout draws from."""
        if self.device.type == "cuda":
            return torch.cuda.default_generators[self.device.index or 0]
        return torch.default_generator

    @staticmethod
    def _restore_generator(generator: torch.Generator, state: Tensor) -> None:
        """Set a generator's state. Another kind of device's state does not fit: the generator then keeps its own."""
        if state.shape == generator.get_state().shape:
            generator.set_state(state)

    def _replace_noise(self, state: Tensor) -> None:
        self._noise = torch.Generator(self.device)
        self._noise.set_state(state)


def restore_weights(model: VAE, tensors: dict[str, Tensor]) -> None:
    """Load the `model.` tensors of a checkpoint into `model`: its parameters and buffers, of their layers' shapes.

    Raises:
        RuntimeError: they are the tensors of another model.
    """
    prefix = "model."
    model.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
