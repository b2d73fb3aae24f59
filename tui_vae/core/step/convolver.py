"""Convolutions with 4 × 4 kernels that halve an image's sides, and their transposes, on a CPU and without autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from ctypes import byref
from typing import Any

import torch
from torch import Tensor

from tui_vae.core.step.load_kernels import Patches
from tui_vae.core.step.products import Prepare

Shape = tuple[int, int, int]
"""Channels, height and width; a linear layer's features are channels of one pixel."""


DIRECT_CHANNELS = 16
"""Channels from which on, in float32, oneDNN's convolutions take less time than products of patches."""


class Convolver(ABC):
    """A convolution between images and halves, images of half the sides.

    In all methods, `images` are `(N, height·width·channels of an image)`, and `halves`
    `(N, (height/2)·(width/2)·channels of a half)`, with the channels of a pixel side by side.

    Args:
        image: the shape of an image. weight, to_weight: `(channels of a half, channels of an image, 4, 4)`, and its
            gradient.
    """

    def __init__(self, image: Shape, weight: Tensor, to_weight: Tensor) -> None:
        self.channels, self.height, self.width = image
        self.weight, self.to_weight = weight, to_weight

    @abstractmethod
    def convolve(self, images: Tensor, halves: Tensor, again: bool = False) -> None:
        """halves = images ∗ weight. `again`: the last call was `write_weight_gradient` with the same images."""

    @abstractmethod
    def transpose(self, halves: Tensor, images: Tensor) -> None:
        """images = the transposed convolution of halves by the weight."""

    @abstractmethod
    def write_weight_gradient(self, images: Tensor, halves: Tensor) -> None:
        """Write the weight's gradient, from images and the gradient of their halves, or the other way around."""


class OfPatches(Convolver):
    """As products of patches, which c/patches.c gathers and adds up.

    Args:
        patches: memory for those of a batch, which all layers use in turn; of the type of all other tensors.
        array: allocates memory of a shape. prepare: what does the products.
    """

    def __init__(
        self, image: Shape, weight: Tensor, to_weight: Tensor, functions: Any, threads: int, patches: Tensor,
        array: Callable[..., Tensor], prepare: Prepare,
    ) -> None:  # fmt: skip
        super().__init__(image, weight, to_weight)
        self._prepare = prepare
        channels, height, width = image
        self._functions, self._threads, self._memory = functions, threads, patches
        self._given = Patches(
            height=height, width=width, channels=channels, bf16=weight.dtype == torch.bfloat16,
            scratch=array(threads, height * width * channels).data_ptr(),
        )  # fmt: skip
        # With channels last, as patches are: (channels of a half, 4, 4, channels of an image).
        self._matrix, self._to_matrix = (
            torch.zeros_like(weight.permute(0, 2, 3, 1).contiguous()).flatten(1) for _ in range(2)
        )

    def _patches(self, count: int) -> Tensor:
        """Memory for the patches of so many images, `(N·places, 16·channels)`."""
        places, numbers = (self.height // 2) * (self.width // 2), 16 * self.channels
        return self._memory[: count * places * numbers].view(-1, numbers)

    def _gather(self, images: Tensor) -> Tensor:
        patches = self._patches(len(images))
        self._functions.gather_patches(
            byref(self._given), images.data_ptr(), patches.data_ptr(), len(images), self._threads
        )
        return patches

    def _weight(self) -> Tensor:
        self._matrix.view(len(self.weight), 4, 4, -1).copy_(self.weight.permute(0, 2, 3, 1))
        return self._matrix

    def convolve(self, images: Tensor, halves: Tensor, again: bool = False) -> None:
        """One product: each patch becomes a place."""
        patches = self._patches(len(images)) if again else self._gather(images)
        self._prepare(patches, self._weight().t(), halves.view(len(patches), -1))()

    def transpose(self, halves: Tensor, images: Tensor) -> None:
        """One product: each place becomes a patch; where they overlap, their sum."""
        patches, functions = self._patches(len(images)), self._functions
        self._prepare(halves.view(len(patches), -1), self._weight(), patches)()
        functions.scatter_patches(byref(self._given), patches.data_ptr(), images.data_ptr(), len(images), self._threads)

    def write_weight_gradient(self, images: Tensor, halves: Tensor) -> None:
        """One product, over all places."""
        patches = self._gather(images)
        self._prepare(halves.view(len(patches), -1).t(), patches, self._to_matrix)()
        self.to_weight.copy_(self._to_matrix.view(len(self.weight), 4, 4, -1).permute(0, 3, 1, 2))


class Direct(Convolver):
    """PyTorch's convolution, which is oneDNN's: from `DIRECT_CHANNELS` on it takes less than products of patches
    do, as few channels make narrow matrices."""

    def _images(self, images: Tensor) -> Tensor:
        return images.view(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)

    def _halves(self, halves: Tensor) -> Tensor:
        return halves.view(-1, self.height // 2, self.width // 2, len(self.weight)).permute(0, 3, 1, 2)

    def _weight(self) -> Tensor:
        """A copy with channels last, without which the backward pass takes half as long again."""
        return self.weight.contiguous(memory_format=torch.channels_last)

    def convolve(self, images: Tensor, halves: Tensor, again: bool = False) -> None:
        """A convolution."""
        self._halves(halves).copy_(torch.conv2d(self._images(images), self._weight(), None, 2, 1))

    def transpose(self, halves: Tensor, images: Tensor) -> None:
        """A convolution's backward pass to its input."""
        into = self._images(images)
        into.copy_(self._backward(into, halves, (True, False, False))[0])

    def write_weight_gradient(self, images: Tensor, halves: Tensor) -> None:
        """A convolution's backward pass to its weight."""
        self.to_weight.copy_(self._backward(self._images(images), halves, (False, True, False))[1])

    def _backward(self, images: Tensor, halves: Tensor, wanted: tuple[bool, bool, bool]) -> Sequence[Tensor]:
        gradients: Sequence[Tensor] = torch.ops.aten.convolution_backward(
            self._halves(halves), images, self._weight(), None, (2, 2), (1, 1), (1, 1), False, (0, 0), 1, wanted
        )
        return gradients
