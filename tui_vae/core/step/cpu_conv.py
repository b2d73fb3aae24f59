"""The training step of the convolutional network on a CPU: its convolutions, and between them the C kernels.

oneDNN's convolutions take a half of autograd's step, several times what their multiplications take, since the channels
of an image lie apart. Here those of a pixel lie side by side, in all but the linear layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from tui_vae.core.models.vae import ACTIVATIONS
from tui_vae.core.step.convolver import DIRECT_CHANNELS, Convolver, Direct, OfPatches, Shape
from tui_vae.core.step.cpu import CPUStep
from tui_vae.core.step.fused_step import (
    ACTIVATION_NAMES,
    BERNOULLI,
    OUTPUT_NAMES,
    ConvNorm,
    Norm,
    Product,
    gradient_of,
)
from tui_vae.core.step.native_calls import Kernel
from tui_vae.core.step.products import Multiplication, prepare_mm

Convolution = nn.Conv2d | nn.ConvTranspose2d


@dataclass
class ConvolutionProduct(Product):
    """A convolution's operands; x and product are images and halves, or, if `upwards`, halves and images."""

    convolver: Convolver = field(kw_only=True)
    upwards: bool = field(kw_only=True)

    def forward(self) -> Multiplication:
        """For product = x ∗ weight."""
        return partial(self.convolver.transpose if self.upwards else self.convolver.convolve, self.x, self.product)

    def backward_to_weight(self) -> Multiplication:
        """For the gradient of the weight, from that of the product and x."""
        images, halves = (self.to_product, self.x) if self.upwards else (self.x, self.to_product)
        return partial(self.convolver.write_weight_gradient, images, halves)

    def backward_to_x(self) -> Multiplication | None:
        """For the gradient of x, if it is needed, right after that of the weight."""
        if self.to_x is None:
            return None
        if self.upwards:
            return partial(self.convolver.convolve, self.to_product, self.to_x, again=True)
        return partial(self.convolver.transpose, self.to_product, self.to_x)


class Spread:
    """Vectors of a convolution, one number a channel, as the kernels take them: one number for every place and channel.

    Args:
        vectors: parameters `(channels,)`. array: allocates memory of a shape.
    """

    def __init__(self, vectors: list[Tensor], places: int, array: Callable[..., Tensor]) -> None:
        self._parameters = vectors
        self._values = [array(places, len(vector)) for vector in vectors]
        self._gradients = [array(places, len(vector)) for vector in vectors]
        self.pairs = list(zip(self._values, self._gradients, strict=True))

    def before(self, kernel: Kernel) -> Kernel:
        """`kernel` with the parameters' present values at every place."""

        def forward(images: int) -> None:
            for values, parameter in zip(self._values, self._parameters, strict=True):
                values.copy_(parameter.detach())
            kernel(images)

        return forward

    def after(self, kernel: Kernel) -> Kernel:
        """`kernel`, and then the parameters' gradients, the sums over places."""

        def backward(images: int) -> None:
            kernel(images)
            for gradients, parameter in zip(self._gradients, self._parameters, strict=True):
                torch.sum(gradients, dim=0, out=gradient_of(parameter))

        return backward


class ConvCPUStep(CPUStep):
    """`CPUStep` for a `ConvVAE`. Its x has the channels of a pixel side by side, as images and patches do."""

    def _in_order(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def _build(self, batch: int) -> None:
        self._begin_building(batch)
        model, patches = self._model, self._allocate_patches(batch)
        layers, head = [*model.encoder, *model.decoder], len(model.encoder) - 1
        x, to_x = self._x if self._x_bfloat16 is None else self._x_bfloat16, None
        shape: Shape = (1, 1, model.pixels)
        for place, layer in enumerate(layers):
            if isinstance(layer, nn.Unflatten):
                channels, height, width = layer.unflattened_size
                shape = (int(channels), int(height), int(width))
            if not isinstance(layer, nn.Linear | Convolution):
                continue
            before, shape = shape, shape_after(layer, shape)
            product = self._array(batch, prod(shape), dtype=self._dtype)
            if place == head:
                assert isinstance(layer, nn.Linear)
                z, to_z = (self._array(batch, model.latent_dim, dtype=self._dtype) for _ in range(2))
                to_product = torch.zeros_like(product)
                self._add_latent_kernels(layer, product, to_product, z, to_z)
                next_x, next_to_x = z, to_z
            elif layer is model.decoder[-3]:  # before Flatten and the output
                assert isinstance(layer, nn.ConvTranspose2d)
                self._add_image_kernels(layer, product, OUTPUT_NAMES[type(layers[-1])])
                next_x, next_to_x, to_product = x, None, product
            else:
                out, to_product = torch.zeros_like(product), torch.zeros_like(product)
                following = self._add_layer(layer, layers[place + 1 :], shape, product, out, to_product)
                next_x, next_to_x = self._in_order_for(following, layers, shape, out, to_product)
            self._products.append(self._operands(layer, before, shape, patches, (x, product, to_x, to_product)))
            x, to_x = next_x, next_to_x

    def _allocate_patches(self, batch: int) -> Tensor:
        """Memory for the patches of whichever layer has the most, which all layers use in turn."""
        shape, most = (1, 1, self._model.pixels), 0
        for layer in self._model.encoder:
            if isinstance(layer, nn.Unflatten):
                channels, height, width = layer.unflattened_size
                shape = (int(channels), int(height), int(width))
            if isinstance(layer, nn.Conv2d):
                if self._is_of_patches(layer):
                    most = max(most, shape[0] * 16 * (shape[1] // 2) * (shape[2] // 2))
                shape = shape_after(layer, shape)
        return self._array(batch * most, dtype=self._dtype)

    def _is_of_patches(self, layer: Convolution) -> bool:
        return self.bfloat16_copy is not None or min(layer.in_channels, layer.out_channels) < DIRECT_CHANNELS

    def _add_layer(
        self, layer: nn.Linear | Convolution, after: list[Any], shape: Shape, product: Tensor, out: Tensor,
        gradient: Tensor,
    ) -> Any:  # fmt: skip
        """Add a hidden layer's kernels; gives the layer that follows its normalization and activation, in `after`."""
        norm = after[0] if isinstance(after[0], Norm | ConvNorm) else None
        follower = after[0 if norm is None else 1]
        activation, following = ACTIVATION_NAMES[type(follower)], after[1 if norm is None else 2]
        if isinstance(layer, nn.Linear):
            assert norm is None or isinstance(norm, Norm)
            self._add_hidden_kernels(layer, product, out, gradient, norm, activation)
            return following
        assert layer.bias is not None
        parameters = [layer.bias] if norm is None else [layer.bias, norm.weight, norm.bias]
        code, places = ACTIVATIONS[activation].kernel_code, shape[1] * shape[2]
        if isinstance(norm, nn.BatchNorm2d):
            pairs = [(parameter, gradient_of(parameter)) for parameter in parameters]
            self._add_batch_norm_kernels(self._hidden(pairs, norm, product, out, gradient, code), norm, places)
            return following
        spread = Spread(parameters, places, self._array)
        hidden = self._hidden(spread.pairs, norm, product, out, gradient, code)
        hidden.statistics = self._array(self._batch, 2).data_ptr()
        self._forward.append(spread.before(self._kernel("hidden_forward", hidden)))
        self._backward.append(spread.after(self._kernel("hidden_backward", hidden)))
        return following

    def _in_order_for(
        self, following: Any, layers: list[Any], shape: Shape, out: Tensor, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the next layer gets as x and its gradient: linear layers have the channels first, convolutions last."""
        if isinstance(following, nn.Flatten):
            before, after = shape[1] * shape[2], shape[0]
        elif isinstance(following, nn.Unflatten):
            before = int(following.unflattened_size[0])
            after = shape[0] // before
        else:
            return out, gradient
        if before == 1 or after == 1:
            return out, gradient
        x, to_x = torch.zeros_like(out), torch.zeros_like(gradient)
        transpose, forward, backward = self._functions.transpose, self._forward.pop(), self._backward.pop()
        bf16, threads = self.bfloat16_copy is not None, self._threads

        def forward_in_order(rows: int) -> None:
            forward(rows)
            transpose(out.data_ptr(), x.data_ptr(), rows, before, after, bf16, threads)

        def backward_in_order(rows: int) -> None:
            transpose(to_x.data_ptr(), gradient.data_ptr(), rows, after, before, bf16, threads)
            backward(rows)

        self._forward.append(forward_in_order)
        self._backward.append(backward_in_order)
        return x, to_x

    def _add_image_kernels(self, last: nn.ConvTranspose2d, product: Tensor, output: str) -> None:
        """The output's kernels, for a bias that all pixels share."""
        assert last.bias is not None
        spread = Spread([last.bias], self._model.pixels, self._array)
        forward, backward = self._decoded(*spread.pairs[0], product, BERNOULLI if self._objective.bernoulli else output)
        self._forward.append(spread.before(forward))
        self._backward.append(spread.after(backward))

    def _operands(
        self, layer: nn.Linear | Convolution, before: Shape, after: Shape, patches: Tensor,
        buffers: tuple[Tensor, Tensor, Tensor | None, Tensor],
    ) -> Product:  # fmt: skip
        """The product of a layer from images of shape `before` to `after`; buffers: x, product, and their gradients."""
        weight, to_weight = self._matrices(layer.weight)
        x, product, to_x, to_product = buffers
        if isinstance(layer, nn.Linear):
            return Product(weight, to_weight, x, product, to_x, to_product, self._prepare)
        upwards = isinstance(layer, nn.ConvTranspose2d)
        image = after if upwards else before
        # Of few channels, splitting float32 for the matrix unit takes longer than its products save.
        prepare = prepare_mm if self.bfloat16_copy is None else self._prepare
        convolver: Convolver = (
            OfPatches(image, weight, to_weight, self._functions, self._threads, patches, self._array, prepare)
            if self._is_of_patches(layer)
            else Direct(image, weight, to_weight)
        )
        return ConvolutionProduct(weight, to_weight, x, product, to_x, to_product, convolver=convolver, upwards=upwards)


def shape_after(layer: nn.Linear | Convolution, shape: Shape) -> Shape:
    """The shape of what a layer makes of one image of `shape`."""
    if isinstance(layer, nn.Linear):
        return layer.out_features, 1, 1
    _, height, width = shape
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels, height // 2, width // 2
    return layer.out_channels, 2 * height + layer.output_padding[0], 2 * width + layer.output_padding[1]
