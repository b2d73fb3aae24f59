"""A training step of the fully connected VAE: matrix products (products.py), and compiled kernels between them.

Autograd does every stretch between two products in a handful of PyTorch's kernels, each of which goes through memory
and through Python. Here a stretch is one kernel, gradients are written straight to their places, and no memory is
allocated from one step to the next. The kernels are C on a CPU (cpu.py) and Triton on a GPU (gpu.py). Tests compare
each with autograd.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeGuard

import torch
from torch import Tensor, nn

from tui_vae.core.models.conv import ConvVAE
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import ACTIVATIONS, OUTPUTS, VAE, SequentialVAE
from tui_vae.core.objectives import Objective, beta_vae, sigma_vae
from tui_vae.core.pixels import channels_first, normalize
from tui_vae.core.ranks import ALONE, Ranks, draw_noise
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.flat_parameters import part_of
from tui_vae.core.step.muon import Muon
from tui_vae.core.step.native_calls import Kernel, bound, joined
from tui_vae.core.step.products import Multiplication, Prepare, prepare_mm

# The modules that have kernels, and their names in the tables.
ACTIVATION_NAMES = {row.module: name for name, row in ACTIVATIONS.items() if row.kernel_code is not None}
OUTPUT_NAMES = {row.module: name for name, row in OUTPUTS.items() if row.kernel_code is not None}
BERNOULLI = "bernoulli"
"""A pseudo-output, for output `logits` under objective `bce`: sigmoid, and the cross-entropy from the logits."""

Norm = nn.LayerNorm | nn.BatchNorm1d
ConvNorm = nn.GroupNorm | nn.BatchNorm2d  # of one group


def has_kernels(model: VAE, objective: Objective, device: str) -> TypeGuard[SequentialVAE]:
    """Whether kernels have been written for every layer of `model`, and for `objective`, on a type of device."""
    known: set[type] = {nn.Linear, nn.LayerNorm, nn.BatchNorm1d, *ACTIVATION_NAMES}
    if type(model) is ConvVAE and device == "cpu":
        known |= {nn.Conv2d, nn.ConvTranspose2d, nn.GroupNorm, nn.BatchNorm2d, nn.Flatten, nn.Unflatten}
    elif type(model) is not MLP:
        return False
    if objective.formula not in (beta_vae, sigma_vae) or (objective.bernoulli and not model.has_logits):
        return False
    inner = {type(layer) for layer in [*model.encoder, *list(model.decoder)[:-1]]}
    return inner <= known and type(model.decoder[-1]) in OUTPUT_NAMES


@dataclass
class Product:
    """A linear layer's operands: weight `(out, in)`, x `(N, in)`, product `(N, out)`.

    `to_weight`, `to_x`, `to_product` are the loss's gradients with respect to them, of the same shapes. `to_x` is None
    for the first layer, whose x are the images: nobody needs that gradient.
    """

    weight: Tensor
    to_weight: Tensor
    x: Tensor
    product: Tensor
    to_x: Tensor | None
    to_product: Tensor
    prepare: Prepare = prepare_mm

    def rows(self, count: int) -> Self:
        """The operands for the first `count` images, as views."""
        to_x = None if self.to_x is None else self.to_x[:count]
        return replace(
            self, x=self.x[:count], product=self.product[:count], to_x=to_x, to_product=self.to_product[:count]
        )

    def forward(self) -> Multiplication:
        """For product = x · weightᵀ."""
        return self.prepare(self.x, self.weight.t(), self.product)

    def backward_to_weight(self) -> Multiplication:
        """For the gradient of the weight, from that of the product and x."""
        return self.prepare(self.to_product.t(), self.x, self.to_weight)

    def backward_to_x(self) -> Multiplication | None:
        """For the gradient of x, from that of the product and the weight, if it is needed."""
        return None if self.to_x is None else self.prepare(self.to_product, self.weight, self.to_x)


@dataclass
class Passes:
    """A step of so many images: both passes through the network, and the images' rows of x and of the noise."""

    x: Tensor
    noise: Tensor
    forward: list[Callable[[], object]]
    backward: list[Callable[[], object]]


class FusedStep(ABC):
    """Learns from batches: forward, backward and Adam.

    Args:
        model: its parameters are views of one vector, which has a gradient (`flatten_parameters`).
        parameters: that vector. optimizer: what updates it.
        bfloat16: whether matrix products are computed in bfloat16, on a copy of the parameters that every step renews.
        train_size: images of the training set, for the estimate of the total correlation.

    Attributes:
        bfloat16_copy: that copy, or None.
        ranks: those that share each batch. Nothing then may depend on several images but the sums of a step.
        sums: see `choose.Step`.

    Raises:
        ValueError: there are no kernels for this model or objective.
    """

    def __init__(
        self, model: SequentialVAE, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam | Muon,
        bfloat16: bool, train_size: int,
    ) -> None:  # fmt: skip
        if not has_kernels(model, objective, parameters.device.type):
            raise ValueError("there are no kernels for this model and objective")
        self._model, self._objective, self._train_size = model, objective, train_size
        self._parameters, self._optimizer = parameters, optimizer
        self._device = parameters.device
        self.sums = torch.zeros(4, dtype=torch.float64, device=self._device)
        self.bfloat16_copy = parameters.detach().to(torch.bfloat16) if bfloat16 else None
        self._bfloat16_gradient = None if self.bfloat16_copy is None else torch.zeros_like(self.bfloat16_copy)
        self._dtype = torch.bfloat16 if bfloat16 else torch.float32
        self._prepare: Prepare = prepare_mm
        self._batch = 0  # images that there is memory for
        self.ranks: Ranks = ALONE

    def __call__(
        self, images: Tensor, generator: torch.Generator, lr: float | Tensor, beta: float | Tensor,
        count: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Do one step on images `(N, …)`; return its figures, `(4,)` float64: see `choose.Step`."""
        count = len(images) if count is None else count
        figures = self._differentiate(images, generator, beta, count)
        if self.ranks.world > 1:
            self._add_up_gradients()
        self._update(lr)
        self._add_to_sums(figures, count)
        return figures

    def _add_to_sums(self, figures: Tensor, count: int) -> None:
        self.sums.add_(figures, alpha=count)

    def _update(self, lr: float | Tensor) -> None:
        """Update the parameters from their gradients, and renew the copy in bfloat16."""
        if isinstance(self._optimizer, FlatAdam):
            self._update_by_adam(self._optimizer, lr)
        else:
            self._optimizer.step(lr, self._bfloat16_gradient, self.bfloat16_copy)

    def parameters_changed(self) -> None:
        """Copy the parameters to bfloat16, after somebody else has written them."""
        if self.bfloat16_copy is not None:
            self.bfloat16_copy.copy_(self._parameters.detach())

    def _add_up_gradients(self) -> None:
        """Replace the gradients by their sums over all ranks, which are added in float32."""
        gradient, matrices = gradient_of(self._parameters), self._bfloat16_gradient
        pairs = [
            (part_of(gradient, part), part_of(matrices, part))
            for part in self._model.parameters()
            if matrices is not None and part.dim() >= 2
        ]
        for sums, rounded in pairs:
            sums.copy_(rounded)
        self.ranks.add_up(gradient)
        for sums, rounded in pairs:
            rounded.copy_(sums)

    def _differentiate(self, images: Tensor, generator: torch.Generator, beta: float | Tensor, count: int) -> Tensor:
        """Write the gradients to their places; return the figures, `(4,)`, of the `count` images of all ranks."""
        rows = len(images)
        if max(rows, 1) > self._batch:
            self._build(max(rows, 1))
        noise = draw_noise(self.ranks, count, self._model.latent_dim, generator) if self.ranks.world > 1 else None
        if noise is not None and not rows:
            return self._differentiate_nothing(count, beta)
        if rows not in self._passes:
            self._passes[rows] = self._passes_of(rows)
        passes = self._passes[rows]
        if noise is None:
            passes.noise.normal_(generator=generator)
        else:
            passes.noise.copy_(noise)
        self._write_x(images, passes.x)
        for call in passes.forward:
            call()
        if self.ranks.world > 1:
            self._add_up_sums(rows, count)
        figures = self._compute_loss(count, beta)
        for call in passes.backward:
            call()
        return figures

    def _passes_of(self, rows: int) -> Passes:
        """The passes of so many images, whose calls are prepared once. Memory allocated anew makes them void."""
        products = [product.rows(rows) for product in self._products]
        forward, backward = [], []
        for product, kernel in zip(products, self._forward, strict=True):
            forward += [product.forward(), bound(kernel, rows)]
        for product, kernel in zip(reversed(products), reversed(self._backward), strict=True):
            backward += [bound(kernel, rows), *self._backward_of(product)]
        return Passes(self._x[:rows], self._noise[:rows], joined(forward), joined(backward))

    def _differentiate_nothing(self, count: int, beta: float | Tensor) -> Tensor:
        """As `_differentiate`, where all images are other ranks'."""
        self._add_up_sums(0, count)
        gradient_of(self._parameters).zero_()
        if self._bfloat16_gradient is not None:
            self._bfloat16_gradient.zero_()
        return self._compute_loss(count, beta)

    def _backward_of(self, product: Product) -> list[Multiplication]:
        """The calls for a product's gradients."""
        to_x = product.backward_to_x()
        return [product.backward_to_weight()] if to_x is None else [product.backward_to_weight(), to_x]

    def _write_x(self, images: Tensor, x: Tensor) -> None:
        """Write the images `(N, …)` to `x`, `(N, pixels)` in [-1, 1]."""
        # Grey ones are in every order.
        pixels = images if images.dim() < 4 else self._in_order(images)
        if pixels.dtype == torch.uint8 and pixels.numel() == x.numel():
            self._normalize(pixels.contiguous(), x)
        else:
            x.copy_(normalize(pixels))
            if self._x_bfloat16 is not None:
                self._x_bfloat16[: len(images)].copy_(x)

    def _in_order(self, images: Tensor) -> Tensor:
        """Images `(N, …)` as `(N, pixels)`, in the order of x: that of the network's first layer."""
        return channels_first(images)

    def gradients(self) -> list[Tensor]:
        """The last step's gradients, in the order and the shapes of the model's parameters."""
        matrices = self._bfloat16_gradient
        return [
            gradient_of(part) if matrices is None or part.dim() < 2 else part_of(matrices, part)
            for part in self._model.parameters()
        ]

    def _array(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        array = torch.zeros(shape, dtype=dtype, device=self._device)
        self._kernel_memory.append(array)
        return array

    def _build(self, batch: int) -> None:
        """Allocate the memory of a step of `batch` images; list the products and the kernels that follow them."""
        self._begin_building(batch)
        model = self._model
        layers = [*model.encoder, *model.decoder]
        places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
        head = len(model.encoder) - 1
        x, to_x = self._x if self._x_bfloat16 is None else self._x_bfloat16, None
        for place in places:
            linear = layers[place]
            assert isinstance(linear, nn.Linear)
            product = self._array(batch, linear.out_features, dtype=self._dtype)
            if place == head:
                z, to_z = (self._array(batch, model.latent_dim, dtype=self._dtype) for _ in range(2))
                to_product = torch.zeros_like(product)
                self._add_latent_kernels(linear, product, to_product, z, to_z)
                next_x, next_to_x = z, to_z
            elif place == places[-1]:
                output = BERNOULLI if self._objective.bernoulli else OUTPUT_NAMES[type(layers[-1])]
                self._add_output_kernels(linear, product, output)
                next_x, next_to_x, to_product = x, None, product
            else:
                follower = layers[place + 1]
                norm = follower if isinstance(follower, Norm) else None
                activation = ACTIVATION_NAMES[type(follower if norm is None else layers[place + 2])]
                out, to_product = torch.zeros_like(product), torch.zeros_like(product)
                self._add_hidden_kernels(linear, product, out, to_product, norm, activation)
                next_x, next_to_x = out, to_product
            weight, to_weight = self._matrices(linear.weight)
            self._products.append(Product(weight, to_weight, x, product, to_x, to_product, self._prepare))
            x, to_x = next_x, next_to_x

    def _begin_building(self, batch: int) -> None:
        """Allocate the memory of both ends of the network; there are no products and kernels yet."""
        model = self._model
        self._batch = batch
        self._kernel_memory: list[Tensor] = []  # keeps alive what only the kernels' structures point to
        self._passes: dict[int, Passes] = {}  # of as many images as the key says
        self._x = self._array(batch, model.pixels)
        self._x_bfloat16 = None if self.bfloat16_copy is None else self._array(batch, model.pixels, dtype=self._dtype)
        self._noise = self._array(batch, model.latent_dim)
        self._products: list[Product] = []
        self._forward: list[Kernel] = []  # after each product
        self._backward: list[Kernel] = []  # before each product's gradients

    def _matrices(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """A weight in the precision of its products, and the place of its gradient, both `(out, in)`."""
        if self.bfloat16_copy is None or self._bfloat16_gradient is None:
            return weight.detach(), gradient_of(weight)
        return part_of(self.bfloat16_copy, weight), part_of(self._bfloat16_gradient, weight)

    @abstractmethod
    def _normalize(self, images: Tensor, x: Tensor) -> None:
        """uint8 images `(N, …)` to x `(N, pixels)` in [-1, 1], and to `_x_bfloat16` if there is one."""

    @abstractmethod
    def _add_hidden_kernels(
        self, linear: nn.Linear, product: Tensor, out: Tensor, gradient: Tensor, norm: Norm | None,
        activation: str,
    ) -> None:  # fmt: skip
        """Add the kernel from a hidden layer's product to its output `out`, and the kernel back.

        `gradient` holds the gradient of `out`; the kernel back replaces it by the gradient of `product`. All three are
        `(batch, width)`. `activation` is a key of `ACTIVATIONS`.
        """

    @abstractmethod
    def _add_latent_kernels(
        self, head: nn.Linear, product: Tensor, to_product: Tensor, z: Tensor, to_z: Tensor
    ) -> None:
        """Add the kernel from the head's product (μ and log σ² side by side) to z, and the kernel back.

        `product` and its gradient `to_product` are `(batch, 2·latent_dim)`, z and its gradient `(batch, latent_dim)`.
        """

    @abstractmethod
    def _add_output_kernels(self, last: nn.Linear, product: Tensor, output: str) -> None:
        """Add the kernel from the last product to the distortion, and the kernel that replaces it by its gradient.

        `product` is `(batch, pixels)`. `output` is a key of `OUTPUTS`, or `BERNOULLI`.
        """

    @abstractmethod
    def _add_up_sums(self, rows: int, count: int) -> None:
        """Replace the forward pass's sums over `rows` images by those over the `count` images of all ranks."""

    @abstractmethod
    def _compute_loss(self, rows: int, beta: float | Tensor) -> Tensor:
        """The step's figures, `(4,)`; also the weights of distortion and KL in the loss, for the kernels back."""

    @abstractmethod
    def _update_by_adam(self, optimizer: FlatAdam, lr: float | Tensor) -> None:
        """Do Adam's step, and renew the copy in bfloat16."""


def gradient_of(parameter: Tensor) -> Tensor:
    """A parameter's gradient, of its shape, which it always has here: a view of one vector (`flatten_parameters`)."""
    assert parameter.grad is not None
    return parameter.grad
