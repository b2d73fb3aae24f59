"""The training step on a GPU: between the products, the kernels of triton_kernels.py.

A step of the default network is 36 launches, where autograd needs 123 and more. It can be captured in a CUDA graph: it
reads lr and β from the device, never waits for the device, and keeps all memory in its place.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from tui_vae.core.models.vae import SequentialVAE, reparameterize
from tui_vae.core.objectives import Objective, sigma_vae, total_correlation
from tui_vae.core.pixels import normalize
from tui_vae.core.step.adam import BETAS, EPSILON, FlatAdam
from tui_vae.core.step.bfloat16_linear import BFloat16Linear
from tui_vae.core.step.flat_parameters import ALIGNMENT, part_of
from tui_vae.core.step.fused_step import FusedStep, Norm, Product, gradient_of
from tui_vae.core.step.gpu_muon import grains_of
from tui_vae.core.step.muon import Muon
from tui_vae.core.step.products import Multiplication

WIDEST, WIDEST_IMAGE = 8192, 16384
"""Elements in the widest row, of a hidden layer or of an image, that kernels take: a row is one tile, held in
registers. An image of 64 × 64 in colour, 12,288 elements, takes just the 128 that a thread has (compiled for compute
capability 9.0)."""

PROGRAMS = 128
"""Programs that the rows of a batch are divided among: about one for each multiprocessor of a large GPU."""

BLOCK = 1024
"""Elements per program in elementwise kernels: the images' normalization, and Adam."""

COLUMNS = 16
"""Columns per program in kernels that go through all rows (batch normalization): half a warp, 64 bytes of float32."""

SUM_COLUMNS = 32
"""Columns per program of `add_up`: with the `PROGRAMS` rows that it adds at once, a tile of 4,096 elements."""

ROWS_AT_ONCE = 64
"""Rows per tile in kernels that go through all rows: with `COLUMNS`, a tile of 1,024 elements."""

LEAST_WARPS, MOST_WARPS, WARP_COLUMNS = 4, 16, 256
"""The fewest warps of a program (Triton's default), the most, and the columns per warp in between."""

TRIAL_IMAGES = 64
"""Images at most in the batch of `compare_with_autograd`: every image takes the same way through the kernels."""

TRIAL_LR = 1e-3
"""The learning rate of that trial's step: Adam's usual one."""

ROUNDING_SHARE = 1e-3
"""A gradient whose norm is less than this share of the largest gradient's norm is compared on the scale of that share:
its own would be rounding alone."""

LARGEST_DISTANCE, LARGEST_BFLOAT16_DISTANCE = 1e-3, 0.1
"""How far a step may be from autograd's, as a part of the norm: well above float32's and bfloat16's rounding, well
below what a wrong kernel does."""

MOST_ROUNDING = 0.5
"""How far it may be in bfloat16 where autograd's own gradients in float32 are as far: another order of additions rounds
elsewhere, and a deep network of ReLUs multiplies that. A wrong kernel does more."""


def warps_for(block: int) -> int:
    """The warps of a program whose tiles have `block` columns. With fewer, a wide tile does not fit in registers."""
    return min(MOST_WARPS, max(LEAST_WARPS, block // WARP_COLUMNS))


def try_out(kernels: ModuleType, device: torch.device) -> None:
    """Compile and run the smallest kernel, which needs all that the others need: a driver and a C compiler.

    Raises:
        Exception: of any type, from the driver or a compiler.
    """
    image, x = torch.ones(1, dtype=torch.uint8, device=device), torch.zeros(1, device=device)
    kernels.normalize[(1,)](image, x, x, 1, BF16=False, BLOCK=16)
    x.tolist()


class GPUStep(FusedStep):
    """Learns from batches of at most `batch` images.

    The products of weights' gradients run on a stream of their own: nothing else of the backward pass waits for them.

    Args:
        kernels: the module `triton_kernels`, or another copy of it, such as an interpreted one.

    Raises:
        ValueError: there are no kernels for this model or objective, or a layer or an image is wider than kernels take.
    """

    def __init__(
        self, kernels: ModuleType, model: SequentialVAE, objective: Objective, parameters: nn.Parameter,
        optimizer: FlatAdam | Muon, bfloat16: bool, train_size: int, batch: int,
    ) -> None:  # fmt: skip
        super().__init__(model, objective, parameters, optimizer, bfloat16, train_size)
        widths = [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)]
        if max(widths[:-1]) > WIDEST or widths[-1] > WIDEST_IMAGE:  # the last one's are the image
            raise ValueError("there are no kernels for layers this wide")
        self._kernels = kernels
        self._rows = -(-batch // PROGRAMS)  # that one program takes
        device = self._device
        self._sums = 0  # columns of `_partials`: numbers in the gradients of all vectors
        self._places: list[Tensor] = []  # of each column, in the vector of all gradients
        self._figures = torch.zeros(4, dtype=torch.float64, device=device)
        self._weights = torch.zeros(2, device=device)
        self._total_correlation = torch.zeros((), device=device)  # times its weight in the loss
        self._kl = torch.zeros(model.latent_dim, dtype=torch.float64, device=device)
        self._kl_sums = torch.zeros(self._programs(batch), model.latent_dim, device=device)
        self._rates = torch.zeros(3, device=device)
        self._distances = torch.zeros(batch, 3, device=device)
        matrices = [part for part in model.parameters() if part.dim() == 2]
        self._is_matrix = grains_of(matrices, parameters.numel()).to(device)
        self._weight_stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._build(batch)
        self._partials = torch.zeros(self._programs(batch), self._sums, device=device)
        self._place = torch.cat(self._places).to(device)

    def compare_with_autograd(self) -> None:
        """Run every kernel once, which compiles it, and compare a step with autograd's and Adam's. Changes nothing.

        Raises:
            RuntimeError: the results differ, on this device with these drivers.
            Exception: of any type, from the driver or a compiler.
        """
        optimizer, values = self._optimizer, self._parameters.detach()
        before, buffers = values.clone(), {buffer: buffer.clone() for buffer in self._model.buffers()}
        try:
            far, rounding = self._distance_from_autograd(TRIAL_LR)
        finally:
            for buffer, value in buffers.items():
                buffer.copy_(value)
            for vector in (optimizer.step_count, optimizer.mean, optimizer.square, gradient_of(self._parameters)):
                vector.zero_()
            values.copy_(before)
            self.parameters_changed()
        least = LARGEST_DISTANCE if self.bfloat16_copy is None else LARGEST_BFLOAT16_DISTANCE
        if not far < max(least, min(rounding, MOST_ROUNDING)):
            raise RuntimeError(f"on this device the compiled kernels' gradients are {far:.2g} away from autograd's")

    def _distance_from_autograd(self, lr: float) -> tuple[float, float]:
        """The largest distance of the loss, a parameter's gradient or first update, as a part of its norm; or NaN. Then
        how far autograd's own gradients in float32 are from those in the step's precision."""
        rows, generator = min(self._batch, TRIAL_IMAGES), torch.Generator(self._device).manual_seed(0)
        shape, values = (rows, self._model.pixels), self._parameters.detach()
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device=self._device)
        loss = self._differentiate(images, generator, 1.0, rows)[0]
        mine = [gradient.float().clone() for gradient in self.gradients()]
        expected, theirs = self._by_autograd(images, self._noise[:rows], self.bfloat16_copy is not None)
        _, exact = self._by_autograd(images, self._noise[:rows], bfloat16=False)
        # A gradient that is nothing but rounding (a bias's before a batch normalization) is measured on this scale …
        least = ROUNDING_SHARE * torch.stack([gradient.norm() for gradient in theirs]).max()
        # … and the loss, which as a logarithm may be close to 0, on the scale of a nat per pixel.
        distances = [(loss - expected).abs() / expected.abs().clamp(min=self._model.pixels)]
        distances.append(_distance(mine, theirs, least))
        if isinstance(self._optimizer, FlatAdam):  # Muon compares its own
            start = values * (1 - lr * self._optimizer.weight_decay)
            self._update(lr)
            updates = [part_of(start - values, part) for part in self._model.parameters()]
            first = [lr * gradient / (gradient.abs() + EPSILON) for gradient in mine]  # Adam's first update
            distances.append(_distance(updates, first, lr * least))
        far = torch.stack([distance.double() for distance in distances]).max()  # max() of tensors keeps a NaN
        return float(far), float(_distance(exact, theirs, least))

    @torch.enable_grad()
    def _by_autograd(self, images: Tensor, noise: Tensor, bfloat16: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss `()` with β = 1, and its gradients, as the parameters, from products of bfloat16 or float32."""
        model, objective, x = copy.deepcopy(self._model), self._objective, normalize(images)
        if bfloat16:
            for layers in (model.encoder, model.decoder):
                for place, layer in enumerate(layers):
                    layers[place] = BFloat16Linear(layer) if isinstance(layer, nn.Linear) else layer
        mu, logvar = model.encode(x)
        z = reparameterize(mu, logvar, noise)
        _, distortion = objective.decode(model, z, x)
        loss = objective.loss(distortion, z, mu, logvar, 1.0, model.pixels, self._train_size)
        return loss.detach(), torch.autograd.grad(loss, list(model.parameters()))

    def _programs(self, rows: int) -> int:
        return -(-rows // self._rows)

    def _differentiate(self, images: Tensor, generator: torch.Generator, beta: float | Tensor, count: int) -> Tensor:
        if len(images) > self._batch:
            raise ValueError(f"a batch of {len(images)} images, where there is room for {self._batch}")
        figures = super()._differentiate(images, generator, beta, count)
        if not len(images):
            return figures
        if self._weight_stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._weight_stream)
        kernels = self._kernels
        kernels.add_up[kernels.parts_of(self._sums, SUM_COLUMNS)](
            self._partials, self._place, gradient_of(self._parameters), self._programs(len(images)), self._sums,
            AT_ONCE=PROGRAMS, BLOCK=SUM_COLUMNS,
        )  # fmt: skip
        return figures

    def _backward_of(self, product: Product) -> list[Multiplication]:
        to_weight, *to_x = super()._backward_of(product)
        stream = self._weight_stream
        if stream is None:
            return [to_weight, *to_x]

        def to_weight_beside() -> None:
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                to_weight()

        return [to_weight_beside, *to_x]

    def _normalize(self, images: Tensor, x: Tensor) -> None:
        kernels, x_bf16 = self._kernels, self._x_bfloat16
        kernels.normalize[kernels.parts_of(x.numel(), BLOCK)](
            images, x, x if x_bf16 is None else x_bf16, x.numel(), BF16=x_bf16 is not None, BLOCK=BLOCK
        )

    def _tile(self, width: int) -> dict[str, int]:
        """The settings of a kernel whose rows, `width` numbers each, are one tile."""
        block = self._kernels.block_of(width)
        return {"WIDTH": width, "BLOCK": block, "num_warps": warps_for(block)}

    def _column_of(self, parameter: Tensor) -> int:
        """Reserve columns of `_partials` for this parameter's gradient; the first of them."""
        start, first = self._sums, parameter.storage_offset()
        length = -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        self._places.append(torch.arange(first, first + length, dtype=torch.int32))  # with the padding, which stays 0
        self._sums += length
        return start

    def _partial(self, column: int) -> Tensor:
        return self._partials.view(-1)[column:]

    def _add_hidden_kernels(
        self, linear: nn.Linear, product: Tensor, out: Tensor, gradient: Tensor, norm: Norm | None,
        activation: str,
    ) -> None:  # fmt: skip
        if isinstance(norm, nn.BatchNorm1d):
            self._add_batch_norm_kernels(linear, product, out, gradient, norm, activation)
            return
        kernels, width, bias = self._kernels, linear.out_features, linear.bias.detach()
        settings = self._tile(width) | {"NORM": norm is not None, "ACTIVATION": activation}
        statistics = self._array(self._batch, 2)
        epsilon = 0.0 if norm is None else norm.eps
        norm_weight, norm_bias = (bias, bias) if norm is None else (norm.weight.detach(), norm.bias.detach())
        vectors = [linear.bias] if norm is None else [linear.bias, norm.weight, norm.bias]
        columns = [self._column_of(vector) for vector in vectors]
        columns += columns[:1] * (3 - len(columns))  # the kernel doesn't write to those of a norm that isn't there

        def forward(rows: int) -> None:
            kernels.hidden_forward[(rows,)](product, bias, norm_weight, norm_bias, out, statistics, epsilon, **settings)

        def backward(rows: int) -> None:
            kernels.hidden_backward[(self._programs(rows),)](
                product, bias, norm_weight, norm_bias, gradient, statistics, *map(self._partial, columns), rows,
                self._sums, ROWS=self._rows, **settings,
            )  # fmt: skip

        self._forward.append(forward)
        self._backward.append(backward)

    def _add_batch_norm_kernels(
        self, linear: nn.Linear, product: Tensor, out: Tensor, gradient: Tensor, norm: nn.BatchNorm1d, activation: str
    ) -> None:
        kernels, width, bias = self._kernels, linear.out_features, linear.bias.detach()
        norm_weight, norm_bias = norm.weight.detach(), norm.bias.detach()
        statistics, grid = self._array(2, width), kernels.parts_of(width, COLUMNS)
        running = norm.running_mean, norm.running_var, norm.num_batches_tracked
        settings = {"WIDTH": width, "ACTIVATION": activation, "AT_ONCE": ROWS_AT_ONCE, "BLOCK": COLUMNS}

        def forward(rows: int) -> None:
            kernels.batch_forward[grid](
                product,
                bias,
                norm_weight,
                norm_bias,
                out,
                statistics,
                *running,
                rows,
                norm.eps,
                norm.momentum,
                **settings,
            )

        def backward(rows: int) -> None:
            kernels.batch_backward[grid](
                product, bias, norm_weight, norm_bias, gradient, statistics, gradient_of(norm.weight),
                gradient_of(norm.bias), rows, **settings,
            )  # fmt: skip

        self._forward.append(forward)
        self._backward.append(backward)

    def _add_latent_kernels(
        self, head: nn.Linear, product: Tensor, to_product: Tensor, z: Tensor, to_z: Tensor
    ) -> None:
        kernels, width, bias = self._kernels, z.shape[1], head.bias.detach()
        settings = self._tile(width) | {"ROWS": self._rows}
        mu, sigma = (self._array(*z.shape) for _ in range(2))
        column, noise, free_bits = self._column_of(head.bias), self._noise, self._objective.free_bits

        with_more = self._objective.tc_weight > 0
        more = [self._array(*z.shape) for _ in range(2)] if with_more else [mu, sigma]

        def forward(rows: int) -> None:
            kernels.latent_forward[(self._programs(rows),)](
                product, bias, noise, z, mu, sigma, self._kl_sums, rows, **settings
            )
            if with_more:
                self._correlate(mu[:rows], product[:rows, width:].float() + bias[width:], more)

        def backward(rows: int) -> None:
            kernels.latent_backward[(self._programs(rows),)](
                to_z, noise, mu, sigma, self._kl, self._weights, *more, to_product, self._partial(column), rows,
                self._sums, free_bits, MORE=with_more, **settings,
            )  # fmt: skip

        self._forward.append(forward)
        self._backward.append(backward)

    @torch.enable_grad()
    def _correlate(self, mu: Tensor, logvar: Tensor, gradients: list[Tensor]) -> None:
        """Write γ·TC, and its gradients by μ and log σ² `(rows, latent_dim)`. Autograd does this one term."""
        mu, logvar = mu.detach().requires_grad_(), logvar.detach().requires_grad_()
        z = reparameterize(mu, logvar, self._noise[: len(mu)])
        weighted = self._objective.tc_weight * total_correlation(z, mu, logvar, self._train_size)
        if weighted.requires_grad:  # not of a batch of one image
            for place, gradient in zip(gradients, torch.autograd.grad(weighted, (mu, logvar)), strict=True):
                place[: len(mu)].copy_(gradient)
        else:
            for place in gradients:
                place.zero_()
        self._total_correlation.copy_(weighted.detach())

    def _add_output_kernels(self, last: nn.Linear, product: Tensor, output: str) -> None:
        kernels, width, bias, x = self._kernels, self._model.pixels, last.bias.detach(), self._x
        settings = self._tile(width) | {"OUTPUT": output}
        column = self._column_of(last.bias)

        def forward(rows: int) -> None:
            kernels.output_forward[(rows,)](product, bias, x, self._distances, **settings)

        def backward(rows: int) -> None:
            kernels.output_backward[(self._programs(rows),)](
                product, bias, x, self._weights, self._partial(column), rows, self._sums, ROWS=self._rows, **settings
            )

        self._forward.append(forward)
        self._backward.append(backward)

    def _add_up_sums(self, rows: int, count: int) -> None:
        latents = self._kl_sums.shape[1]
        sums = torch.zeros(3 + latents, device=self._device)
        if rows:
            torch.sum(self._distances[:rows], 0, out=sums[:3])
            torch.sum(self._kl_sums[: self._programs(rows)], 0, out=sums[3:])
        self.ranks.add_up(sums)
        # The kernel adds up rows: one of them now holds what all ranks' do, and the others nothing.
        self._distances.zero_()[0].copy_(sums[:3])
        self._kl_sums.zero_()[0].copy_(sums[3:])

    def _compute_loss(self, rows: int, beta: float | Tensor) -> Tensor:
        width = self._model.latent_dim
        self._kernels.compute_loss[(1,)](
            self._distances, self._kl_sums, self._on_device(beta), self._figures, self._weights, self._kl, rows,
            self._programs(rows), self._objective.free_bits, PIXELS=self._model.pixels, WIDTH=width,
            SIGMA=self._objective.formula is sigma_vae, BLOCK=self._kernels.block_of(width),
        )  # fmt: skip
        if self._objective.tc_weight:
            self._figures[0].add_(self._total_correlation)
        return self._figures

    def _update_by_adam(self, optimizer: FlatAdam, lr: float | Tensor) -> None:
        values = self._parameters.detach()
        bf16 = self.bfloat16_copy is not None
        self._kernels.rates[(1,)](
            optimizer.step_count, self._on_device(lr), self._rates, optimizer.weight_decay,
            BETA1=BETAS[0], BETA2=BETAS[1],
        )  # fmt: skip
        self._kernels.adam[self._kernels.parts_of(values.numel(), BLOCK)](
            values, gradient_of(self._parameters), self._bfloat16_gradient if bf16 else values, optimizer.mean,
            optimizer.square, self.bfloat16_copy if bf16 else values, self._is_matrix, self._rates, values.numel(),
            BETA1=BETAS[0], BETA2=BETAS[1], EPSILON=EPSILON, BF16=bf16, GRAIN=ALIGNMENT, BLOCK=BLOCK,
        )  # fmt: skip

    def _on_device(self, number: float | Tensor) -> Tensor:
        return number if isinstance(number, Tensor) else torch.tensor(float(number), device=self._device)


def _distance(ours: Sequence[Tensor], others: Sequence[Tensor], floor: Tensor) -> Tensor:
    """The largest norm of a difference, over the other's norm, which counts as no less than `floor`: `()`."""
    pairs = zip(ours, others, strict=True)
    return torch.stack([(one - other).norm() / torch.maximum(other.norm(), floor) for one, other in pairs]).max()
