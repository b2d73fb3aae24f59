"""A whole training step of the fully connected VAE: PyTorch's matrix products, and compiled kernels between them.

The mathematics is that of handwritten.py, which also runs where there are no kernels. There every stretch between two
products is a handful of PyTorch's kernels, each a trip through memory and through Python; here it is one kernel, and
nothing is allocated from one step to the next. The kernels are C on a CPU (fused_cpu.py) and Triton on a GPU
(fused_gpu.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import VAE, Logits, Tanh
from tui_vae.core.objectives import Objective, beta_vae, sigma_vae
from tui_vae.core.pixels import normalize
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.flat import part_of

# As kernels_math.h, kernels.h and triton_kernels.py number them.
ACTIVATIONS: dict[type[nn.Module], int] = {nn.SiLU: 0, nn.ReLU: 1, nn.GELU: 2}
OUTPUTS: dict[type[nn.Module], int] = {Tanh: 0, nn.Sigmoid: 1, nn.Identity: 2, Logits: 3}
BERNOULLI = 4

Norm = nn.LayerNorm | nn.BatchNorm1d

Rows = Callable[[int], None]
"""A kernel, for so many images."""


def can_fuse(model: VAE, objective: Objective) -> bool:
    """Whether there are kernels for every layer of `model`, and for `objective`."""
    if type(model) is not MLP or objective.tc_weight or (objective.bernoulli and not model.has_logits):
        return False
    if objective.formula not in (beta_vae, sigma_vae):
        return False
    inner = {type(layer) for layer in [*model.encoder, *list(model.decoder)[:-1]]}
    return inner <= {nn.Linear, nn.LayerNorm, nn.BatchNorm1d, *ACTIVATIONS} and type(model.decoder[-1]) in OUTPUTS


@dataclass
class Product:
    """A linear layer's operands: weight `(out, in)`, x `(N, in)`, product `(N, out)`, and their gradients.

    The image's gradient, which nobody needs, is None.
    """

    weight: Tensor
    to_weight: Tensor
    x: Tensor
    product: Tensor
    to_x: Tensor | None
    to_product: Tensor

    def rows(self, count: int) -> Product:
        """The same for the first `count` images."""
        to_x = None if self.to_x is None else self.to_x[:count]
        return Product(self.weight, self.to_weight, self.x[:count], self.product[:count], to_x, self.to_product[:count])

    def forward(self) -> None:
        torch.mm(self.x, self.weight.t(), out=self.product)

    def backward_to_weight(self) -> None:
        torch.mm(self.to_product.t(), self.x, out=self.to_weight)

    def backward_to_x(self) -> None:
        if self.to_x is not None:
            torch.mm(self.to_product, self.weight, out=self.to_x)


class FusedStep(ABC):
    """Learns from batches: forward, backward and Adam.

    Args:
        model: its parameters are views of one vector, whose gradient is there (`flatten_parameters`).
        parameters: that vector. optimizer: its Adam.
        twin: the vector in bfloat16, where products are to be done on that; renewed with every step.

    Raises:
        ValueError: there are no kernels for this model or objective.
    """

    def __init__(
        self, model: MLP, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam, twin: Tensor | None
    ) -> None:
        if not can_fuse(model, objective):
            raise ValueError("there are no kernels for this model and objective")
        self._model, self._objective = model, objective
        self._parameters, self._optimizer = parameters, optimizer
        self._device = parameters.device
        self._twin = twin
        self._kind = torch.float32 if twin is None else twin.dtype
        self._low_gradient = None if twin is None else torch.zeros_like(twin)
        self._batch = 0

    def __call__(self, images: Tensor, generator: torch.Generator, lr: float | Tensor, beta: float | Tensor) -> Tensor:
        """One step on images `(N, …)` → its figures, `(4,)` float64.

        Loss, recon and KL, means over the batch; and the share of pixels that are white, with x̂ nearer to 1 than to 0.
        """
        figures = self._differentiate(images, generator, beta)
        self._update(lr)
        return figures

    def _differentiate(self, images: Tensor, generator: torch.Generator, beta: float | Tensor) -> Tensor:
        """Put the gradients in their places; the figures."""
        rows = len(images)
        if rows > self._batch:
            self._build(rows)
        if rows not in self._of_rows:
            self._of_rows[rows] = [product.rows(rows) for product in self._products]
        products = self._of_rows[rows]
        self._take(images)
        self._noise[:rows].normal_(generator=generator)
        for product, follow in zip(products, self._forward, strict=True):
            product.forward()
            follow(rows)
        figures = self._weigh(rows, beta)
        for product, precede in zip(reversed(products), reversed(self._backward), strict=True):
            precede(rows)
            self._backward_of(product)
        return figures

    def _backward_of(self, product: Product) -> None:
        product.backward_to_weight()
        product.backward_to_x()

    def _take(self, images: Tensor) -> None:
        """Images to x in [-1, 1]."""
        x = self._x[: len(images)]
        if images.dtype == torch.uint8 and images.numel() == x.numel():
            self._normalize(images.contiguous(), x)
        else:
            x.copy_(normalize(images))
            if self._x_low is not None:
                self._x_low[: len(images)].copy_(x)

    def gradients(self) -> list[Tensor]:
        """Those of the last step, in the order of the model's parameters."""
        low = self._low_gradient
        return [
            gradient_of(part) if low is None or part.dim() != 2 else part_of(low, part)
            for part in self._model.parameters()
        ]

    def _array(self, *shape: int, kind: torch.dtype = torch.float32) -> Tensor:
        array = torch.zeros(shape, dtype=kind, device=self._device)
        self._kept.append(array)
        return array

    def _build(self, batch: int) -> None:
        """The memory of a step of so many images; each linear layer's product, and the kernel that follows it."""
        model = self._model
        self._batch = batch
        self._kept: list[Tensor] = []  # what only the kernels' structures point to
        self._of_rows: dict[int, list[Product]] = {}
        self._x = self._array(batch, model.pixels)
        self._x_low = None if self._twin is None else self._array(batch, model.pixels, kind=self._kind)
        self._noise = self._array(batch, model.latent_dim)
        self._products: list[Product] = []
        self._forward: list[Rows] = []  # what follows a product …
        self._backward: list[Rows] = []  # … and what goes before its gradients
        layers = [*model.encoder, *model.decoder]
        places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
        head = len(model.encoder) - 1
        x, to_x = self._x if self._x_low is None else self._x_low, None
        for place in places:
            linear = layers[place]
            assert isinstance(linear, nn.Linear)
            product = self._array(batch, linear.out_features, kind=self._kind)
            if place == head:
                z, to_z = (self._array(batch, model.latent_dim, kind=self._kind) for _ in range(2))
                to_product = torch.zeros_like(product)
                self._follow_with_latent(linear, product, to_product, z, to_z)
                next_x, next_to_x = z, to_z
            elif place == places[-1]:
                output = BERNOULLI if self._objective.bernoulli else OUTPUTS[type(layers[-1])]
                self._follow_with_output(linear, product, output)
                next_x, next_to_x, to_product = x, None, product
            else:
                follower = layers[place + 1]
                norm = follower if isinstance(follower, Norm) else None
                activation = ACTIVATIONS[type(follower if norm is None else layers[place + 2])]
                out, to_product = torch.zeros_like(product), torch.zeros_like(product)
                self._follow_with_hidden(linear, product, out, to_product, norm, activation)
                next_x, next_to_x = out, to_product
            weight, to_weight = self._matrices(linear.weight)
            self._products.append(Product(weight, to_weight, x, product, to_x, to_product))
            x, to_x = next_x, next_to_x

    def _matrices(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """A weight as its products take it, and where its gradient goes."""
        if self._twin is None or self._low_gradient is None:
            return weight.detach(), gradient_of(weight)
        return part_of(self._twin, weight), part_of(self._low_gradient, weight)

    @abstractmethod
    def _normalize(self, images: Tensor, x: Tensor) -> None:
        """Bytes `(N, …)` to x `(N, pixels)`, and to its twin in half precision."""

    @abstractmethod
    def _follow_with_hidden(
        self, linear: nn.Linear, product: Tensor, out: Tensor, gradient: Tensor, norm: Norm | None,
        activation: int,
    ) -> None:  # fmt: skip
        """Add the kernels from a hidden layer's product to `out`, and back from the gradient of `out`.

        That of the product comes in its place.
        """

    @abstractmethod
    def _follow_with_latent(
        self, head: nn.Linear, product: Tensor, to_product: Tensor, z: Tensor, to_z: Tensor
    ) -> None:
        """Add the kernels from the head's product, μ and log σ² side by side, to z, and back."""

    @abstractmethod
    def _follow_with_output(self, last: nn.Linear, product: Tensor, output: int) -> None:
        """Add the kernels from the last product to the distortion, and to the gradient of the product, in its place."""

    @abstractmethod
    def _weigh(self, rows: int, beta: float | Tensor) -> Tensor:
        """The step's figures; from here on the kernels know what a distortion and a KL weigh in the loss."""

    @abstractmethod
    def _update(self, lr: float | Tensor) -> None:
        """Adam's step, and the twin renewed."""


def gradient_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
