"""A whole training step of the fully connected VAE on a CPU: PyTorch's matrix products, and compiled kernels between.

The mathematics is that of handwritten.py, which also runs elsewhere. There every stretch between two products is a
handful of PyTorch's kernels, each a trip through memory and through Python: a third of a step. Here it is one kernel,
and nothing is allocated from one step to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_vae.core.adam import BETAS, EPSILON, FlatAdam
from tui_vae.core.kernels import Adam, Decoded, Hidden, Kernels, Latent, Segment
from tui_vae.core.metrics import normalize
from tui_vae.core.model import MLP, VAE, Logits, Tanh
from tui_vae.core.objectives import Objective

# As kernels.c numbers them.
ACTIVATIONS: dict[type[nn.Module], int] = {nn.SiLU: 0, nn.ReLU: 1}
OUTPUTS: dict[type[nn.Module], int] = {Tanh: 0, nn.Sigmoid: 1, nn.Identity: 2, Logits: 3}
BERNOULLI = 4

SUMS, SCRATCH = 3, 5  # rows of a hidden layer's scratch that are sums, and all of them


def can_fuse(model: VAE, objective: Objective) -> bool:
    """Whether there are kernels for every layer of `model`, and for `objective`."""
    if type(model) is not MLP or objective.tc_weight or (objective.bernoulli and not model.has_logits):
        return False
    inner = {type(layer) for layer in [*model.encoder, *list(model.decoder)[:-1]]}
    return inner <= {nn.Linear, nn.LayerNorm, *ACTIVATIONS} and type(model.decoder[-1]) in OUTPUTS


@dataclass
class _Product:
    """A linear layer's operands: weight `(out, in)`, x `(N, in)`, product `(N, out)`, and their gradients.

    The image's gradient, which nobody needs, is None.
    """

    weight: Tensor
    to_weight: Tensor
    x: Tensor
    product: Tensor
    to_x: Tensor | None
    to_product: Tensor

    def rows(self, count: int) -> _Product:
        """The same for the first `count` images."""
        to_x = None if self.to_x is None else self.to_x[:count]
        return _Product(
            self.weight, self.to_weight, self.x[:count], self.product[:count], to_x, self.to_product[:count]
        )

    def forward(self) -> None:
        torch.mm(self.x, self.weight.t(), out=self.product)

    def backward(self) -> None:
        torch.mm(self.to_product.t(), self.x, out=self.to_weight)
        if self.to_x is not None:
            torch.mm(self.to_product, self.weight, out=self.to_x)


class FusedStep:
    """Learns from batches: forward, backward and Adam, on the calling thread's OpenMP threads.

    Args:
        model: its parameters are views of one vector, whose gradient is there (`flatten_parameters`).
        parameters: that vector. optimizer: its Adam.
        twin: the vector in bfloat16, where products are to be done on that; renewed with every step.

    Raises:
        ValueError: there are no kernels for this model or objective.
    """

    def __init__(
        self, kernels: Kernels, model: MLP, objective: Objective, parameters: nn.Parameter, optimizer: FlatAdam,
        twin: Tensor | None,
    ) -> None:  # fmt: skip
        if not can_fuse(model, objective):
            raise ValueError("there are no kernels for this model and objective")
        self._functions = kernels.library
        self._threads = torch.get_num_threads()
        self._model, self._objective = model, objective
        self._optimizer = optimizer
        self._twin = twin
        self._kind = torch.float32 if twin is None else twin.dtype
        self._low_gradient = None if twin is None else torch.zeros_like(twin)
        self._adam = self._adam_structure(parameters)
        self._weight = self._factor = 0.0  # of a step: β over its images, and the objective's slope over them
        self._batch = 0

    def __call__(self, images: Tensor, generator: torch.Generator, lr: float, beta: float) -> Tensor:
        """One step on images `(N, …)` → loss, recon and KL, means over the batch, `(3,)` float64."""
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

        objective, free_bits = self._objective, self._objective.free_bits
        recon, distortion = self._figures / rows
        kl = self._kl.sum()
        paid = self._kl.clamp(min=free_bits).sum() if free_bits else kl
        pixels = self._model.pixels
        loss = objective(distortion, paid, beta, pixels)
        self._factor = float(objective.slope(distortion, pixels)) / rows
        self._weight = beta / rows

        for product, precede in zip(reversed(products), reversed(self._backward), strict=True):
            precede(rows)
            product.backward()
        self._update(lr)
        return torch.stack([loss, recon, kl])

    def _take(self, images: Tensor) -> None:
        x, x_low = self._x[: len(images)], self._x_low
        if images.dtype == torch.uint8 and images.numel() == x.numel():
            low = None if x_low is None else x_low.data_ptr()
            self._functions.normalize(images.contiguous().data_ptr(), x.data_ptr(), low, x.numel(), self._threads)
        else:
            x.copy_(normalize(images))
            if x_low is not None:
                x_low[: len(images)].copy_(x)

    def _update(self, lr: float) -> None:
        optimizer = self._optimizer
        optimizer.step_count.add_(1)
        steps = float(optimizer.step_count)
        rate, root = lr / (1 - BETAS[0] ** steps), (1 - BETAS[1] ** steps) ** -0.5
        self._functions.adam_step(byref(self._adam), rate, root, 1 - lr * optimizer.weight_decay, self._threads)

    def _array(self, *shape: int, kind: torch.dtype = torch.float32) -> Tensor:
        array = torch.zeros(shape, dtype=kind)
        self._kept.append(array)
        return array

    def _build(self, batch: int) -> None:
        """The memory of a step of so many images; each linear layer's product, and the kernel that follows it."""
        model = self._model
        self._batch = batch
        self._kept: list[Tensor] = []  # what only the kernels' structures point to
        self._of_rows: dict[int, list[_Product]] = {}
        self._x = self._array(batch, model.pixels)
        self._x_low = None if self._twin is None else self._array(batch, model.pixels, kind=self._kind)
        self._noise = self._array(batch, model.latent_dim)
        self._kl = self._array(model.latent_dim, kind=torch.float64)
        self._figures = self._array(2, kind=torch.float64)
        self._products: list[_Product] = []
        self._forward: list[Callable[[int], None]] = []  # what follows a product, for so many rows …
        self._backward: list[Callable[[int], None]] = []  # … and what goes before its gradients
        layers = [*model.encoder, *model.decoder]
        places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
        head = len(model.encoder) - 1
        x, to_x = self._x if self._x_low is None else self._x_low, None
        for place in places:
            linear = layers[place]
            assert isinstance(linear, nn.Linear)
            product = self._array(self._batch, linear.out_features, kind=self._kind)
            if place == head:
                next_x, next_to_x, to_product = self._follow_with_latent(linear, product)
            elif place == places[-1]:
                next_x, next_to_x, to_product = x, None, product
                self._follow_with_output(linear, product, layers[-1])
            else:
                norm = layers[place + 1] if isinstance(layers[place + 1], nn.LayerNorm) else None
                activation = layers[place + 1 + (norm is not None)]
                next_x, to_product = self._follow_with_hidden(linear, product, norm, activation)
                next_to_x = to_product
            weight, to_weight = self._matrices(linear.weight)
            self._products.append(_Product(weight, to_weight, x, product, to_x, to_product))
            x, to_x = next_x, next_to_x

    def _matrices(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """A weight as its products take it, and where its gradient goes."""
        if self._twin is None or self._low_gradient is None:
            assert weight.grad is not None
            return weight.detach(), weight.grad
        part = slice(weight.storage_offset(), weight.storage_offset() + weight.numel())
        return self._twin[part].view_as(weight), self._low_gradient[part].view_as(weight)

    def _follow_with_hidden(
        self, linear: nn.Linear, product: Tensor, norm: nn.LayerNorm | None, activation: nn.Module
    ) -> tuple[Tensor, Tensor]:
        out, gradient = torch.zeros_like(product), torch.zeros_like(product)
        width = linear.out_features
        layer = Hidden(
            width=width, low=self._twin is not None, activation=ACTIVATIONS[type(activation)],
            product=product.data_ptr(), out=out.data_ptr(), gradient=gradient.data_ptr(),
            bias=linear.bias.data_ptr(), to_bias=_gradient(linear.bias),
            scratch=self._array(self._threads, SCRATCH, width).data_ptr(),
        )  # fmt: skip
        if norm is not None:
            layer.epsilon = norm.eps
            layer.gain, layer.to_gain = norm.weight.data_ptr(), _gradient(norm.weight)
            layer.shift, layer.to_shift = norm.bias.data_ptr(), _gradient(norm.bias)
            layer.statistics = self._array(self._batch, 2).data_ptr()
        functions, threads = self._functions, self._threads
        self._forward.append(lambda rows: functions.hidden_forward(byref(layer), rows, threads))
        self._backward.append(lambda rows: functions.hidden_backward(byref(layer), rows, threads))
        return out, gradient

    def _follow_with_latent(self, head: nn.Linear, product: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, to_z = (self._array(*self._noise.shape, kind=self._kind) for _ in range(2))
        mu, sigma = (self._array(*self._noise.shape) for _ in range(2))
        to_product = torch.zeros_like(product)
        latent = Latent(
            width=z.shape[1], low=self._twin is not None, bias=head.bias.data_ptr(), to_bias=_gradient(head.bias),
            product=product.data_ptr(), to_product=to_product.data_ptr(), z=z.data_ptr(), to_z=to_z.data_ptr(),
            noise=self._noise.data_ptr(), mu=mu.data_ptr(), sigma=sigma.data_ptr(), kl=self._kl.data_ptr(),
        )  # fmt: skip
        functions, free_bits = self._functions, self._objective.free_bits
        self._forward.append(lambda rows: functions.latent_forward(byref(latent), rows))
        self._backward.append(lambda rows: functions.latent_backward(byref(latent), rows, self._weight, free_bits))
        return z, to_z, to_product

    def _follow_with_output(self, last: nn.Linear, product: Tensor, output: nn.Module) -> None:
        decoded = Decoded(
            width=self._model.pixels, low=self._twin is not None,
            output=BERNOULLI if self._objective.bernoulli else OUTPUTS[type(output)],
            bias=last.bias.data_ptr(), to_bias=_gradient(last.bias), x=self._x.data_ptr(), product=product.data_ptr(),
            slope=self._array(self._batch, self._model.pixels).data_ptr(), figures=self._figures.data_ptr(),
            scratch=self._array(self._threads, self._model.pixels).data_ptr(),
            partial=self._array(self._threads, 2, kind=torch.float64).data_ptr(),
        )  # fmt: skip
        functions, threads = self._functions, self._threads
        self._forward.append(lambda rows: functions.decoded_forward(byref(decoded), rows, threads))
        self._backward.append(lambda rows: functions.decoded_backward(byref(decoded), rows, self._factor, threads))

    def _adam_structure(self, parameters: nn.Parameter) -> Adam:
        assert parameters.grad is not None
        low = self._twin is not None
        parts = [
            Segment(part.storage_offset(), part.storage_offset() + part.numel(), low and part.dim() == 2)
            for part in self._model.parameters()
        ]
        optimizer = self._optimizer
        return Adam(
            values=parameters.data_ptr(), gradient=parameters.grad.data_ptr(), mean=optimizer.mean.data_ptr(),
            square=optimizer.square.data_ptr(), beta1=BETAS[0], beta2=BETAS[1], epsilon=EPSILON,
            low_gradient=None if self._low_gradient is None else self._low_gradient.data_ptr(),
            twin=None if self._twin is None else self._twin.data_ptr(),
            segments=(Segment * len(parts))(*parts), count=len(parts),
        )  # fmt: skip


def _gradient(parameter: nn.Parameter) -> int:
    assert parameter.grad is not None
    return parameter.grad.data_ptr()
