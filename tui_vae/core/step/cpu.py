"""The training step on a CPU: between the products, the C kernels of c/kernels.h."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, addressof, byref, c_double, sizeof

import torch
from torch import Tensor, nn

from tui_vae.core.models.vae import ACTIVATIONS, OUTPUTS, SequentialVAE
from tui_vae.core.objectives import Objective, sigma_vae
from tui_vae.core.step.adam import BETAS, EPSILON, FlatAdam
from tui_vae.core.step.fused_step import BERNOULLI, ConvNorm, FusedStep, Norm, gradient_of
from tui_vae.core.step.load_kernels import Adam, Decoded, Hidden, Kernels, Latent, LossSums, Segment, TotalCorrelation
from tui_vae.core.step.muon import Muon
from tui_vae.core.step.native_calls import Kernel, NativeKernel
from tui_vae.core.step.products import MatrixUnit

SCRATCH = 5
"""Rows of a hidden layer's scratch memory, for each thread: SCRATCH of kernels.h; hidden.c says what they hold."""

FIGURES = 3
"""Sums of the output's kernel: FIGURES of kernels.h."""

BERNOULLI_CODE = 4
"""The number of `fused_step.BERNOULLI` in enum Output of kernels.h, after those of `OUTPUTS`."""


class CPUStep(FusedStep):
    """Uses as many OpenMP threads as PyTorch has when it is made.

    Raises:
        ValueError: there are no kernels for this model or objective.
    """

    def __init__(
        self, kernels: Kernels, model: SequentialVAE, objective: Objective, parameters: nn.Parameter,
        optimizer: FlatAdam | Muon, bfloat16: bool, train_size: int,
    ) -> None:  # fmt: skip
        super().__init__(model, objective, parameters, optimizer, bfloat16, train_size)
        self._functions = kernels.library
        self._threads = torch.get_num_threads()
        if kernels.has_matrix_unit:
            self._prepare = MatrixUnit(kernels, self._threads).prepare
        self._adam = self._adam_structure(optimizer) if isinstance(optimizer, FlatAdam) else None
        self._kl = torch.zeros(model.latent_dim, dtype=torch.float64)
        self._figures = torch.zeros(FIGURES, dtype=torch.float64)
        self._total_correlation = torch.zeros((), dtype=torch.float64)
        # What `compute_loss` writes: the four figures; the weight of an image's distortion in the loss; that of its KL.
        self._results = (c_double * 6)()
        self._results_figures = torch.frombuffer(self._results, dtype=torch.float64)[:4]
        self._loss_sums = LossSums(
            width=model.latent_dim, pixels=model.pixels, sigma=objective.formula is sigma_vae,
            free_bits=objective.free_bits, tc_weight=objective.tc_weight, figures=self._figures.data_ptr(),
            kl=self._kl.data_ptr(), total_correlation=self._total_correlation.data_ptr(),
            results=addressof(self._results),
        )  # fmt: skip
        self._sums = (c_double * 4)()
        self.sums = torch.frombuffer(self._sums, dtype=torch.float64)

    def _normalize(self, images: Tensor, x: Tensor) -> None:
        x_bf16 = None if self._x_bfloat16 is None else self._x_bfloat16.data_ptr()
        self._functions.normalize(images.data_ptr(), x.data_ptr(), x_bf16, x.numel(), self._threads)

    def _add_hidden_kernels(
        self, linear: nn.Linear, product: Tensor, out: Tensor, gradient: Tensor, norm: Norm | None,
        activation: str,
    ) -> None:  # fmt: skip
        pairs = [(linear.bias, gradient_of(linear.bias))]
        if norm is not None:
            pairs += [(part, gradient_of(part)) for part in (norm.weight, norm.bias)]
        layer = self._hidden(pairs, norm, product, out, gradient, ACTIVATIONS[activation].kernel_code)
        if isinstance(norm, nn.BatchNorm1d):
            self._add_batch_norm_kernels(layer, norm)
            return
        layer.statistics = self._array(self._batch, 2).data_ptr()
        self._forward.append(self._kernel("hidden_forward", layer))
        self._backward.append(self._kernel("hidden_backward", layer))

    def _kernel(self, name: str, given: Structure, places: int = 1) -> NativeKernel:
        return NativeKernel(self._functions, name, given, self._threads, places)

    def _hidden(
        self, pairs: Sequence[tuple[Tensor, Tensor]], norm: Norm | ConvNorm | None, product: Tensor, out: Tensor,
        gradient: Tensor, activation: int | None,
    ) -> Hidden:  # fmt: skip
        """A hidden layer but for its statistics. `pairs`: bias, a norm's weight and bias, each with its gradient."""
        width = pairs[0][0].numel()
        layer = Hidden(
            width=width, bf16=self.bfloat16_copy is not None, activation=activation,
            product=product.data_ptr(), out=out.data_ptr(), gradient=gradient.data_ptr(),
            scratch=self._array(self._threads, SCRATCH, width).data_ptr(),
        )  # fmt: skip
        for name, (values, to_values) in zip(("bias", "norm_weight", "norm_bias"), pairs, strict=False):
            setattr(layer, name, values.data_ptr())
            setattr(layer, f"to_{name}", to_values.data_ptr())
        if norm is not None:
            layer.epsilon = norm.eps
        return layer

    def _add_batch_norm_kernels(self, layer: Hidden, norm: nn.BatchNorm1d | nn.BatchNorm2d, places: int = 1) -> None:
        """`places`: pixels of an image; each is a row of its own for the kernels."""
        mean, variance, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
        assert mean is not None and variance is not None and count is not None and norm.momentum is not None
        layer.momentum = norm.momentum
        layer.running_mean, layer.running_variance = mean.data_ptr(), variance.data_ptr()
        layer.batches = count.data_ptr()
        layer.statistics = self._array(2, norm.num_features).data_ptr()
        self._forward.append(self._kernel("batch_forward", layer, places))
        self._backward.append(self._kernel("batch_backward", layer, places))

    def _add_latent_kernels(
        self, head: nn.Linear, product: Tensor, to_product: Tensor, z: Tensor, to_z: Tensor
    ) -> None:
        mu, sigma = (self._array(*z.shape) for _ in range(2))
        latent = Latent(
            width=z.shape[1], bf16=self.bfloat16_copy is not None, free_bits=self._objective.free_bits,
            weight=addressof(self._results) + 5 * sizeof(c_double),
            bias=head.bias.data_ptr(), to_bias=gradient_of(head.bias).data_ptr(),
            product=product.data_ptr(), to_product=to_product.data_ptr(), z=z.data_ptr(), to_z=to_z.data_ptr(),
            noise=self._noise.data_ptr(), mu=mu.data_ptr(), sigma=sigma.data_ptr(), kl=self._kl.data_ptr(),
        )  # fmt: skip
        forward = self._kernel("latent_forward", latent)
        self._forward.append(self._with_total_correlation(forward, latent) if self._objective.tc_weight else forward)
        self._backward.append(self._kernel("latent_backward", latent))

    def _with_total_correlation(self, to_z: Kernel, latent: Latent) -> Kernel:
        """The kernel from the head's product to z, then that of the total correlation and its gradients."""
        width, batch = latent.width, self._batch
        z, mu, precision, constant = (self._array(width, batch).data_ptr() for _ in range(4))
        gradients = [self._array(batch, width).data_ptr() for _ in range(3)]
        latent.more_to_z, latent.more_to_mu, latent.more_to_logvar = gradients
        stride = (3 * width + 1) * batch
        given = TotalCorrelation(
            width=width, stride=stride, weight=self._objective.tc_weight, images=self._train_size,
            z=z, mu=mu, precision=precision, constant=constant,
            to_z=gradients[0], to_mu=gradients[1], to_logvar=gradients[2],
            scratch=self._array(self._threads, stride).data_ptr(),
            values=self._array(batch, dtype=torch.float64).data_ptr(), value=self._total_correlation.data_ptr(),
        )  # fmt: skip
        functions, threads = self._functions, self._threads

        def forward(rows: int) -> None:
            to_z(rows)
            functions.total_correlation(byref(given), byref(latent), rows, threads)

        return forward

    def _add_output_kernels(self, last: nn.Linear, product: Tensor, output: str) -> None:
        forward, backward = self._decoded(last.bias, gradient_of(last.bias), product, output)
        self._forward.append(forward)
        self._backward.append(backward)

    def _decoded(self, bias: Tensor, to_bias: Tensor, product: Tensor, output: str) -> tuple[Kernel, Kernel]:
        """The output's kernels, forward and back, for a bias and its gradient of `(pixels,)`."""
        pixels = self._model.pixels
        decoded = Decoded(
            width=pixels, bf16=self.bfloat16_copy is not None,
            output=BERNOULLI_CODE if output == BERNOULLI else OUTPUTS[output].kernel_code,
            weight=addressof(self._results) + 4 * sizeof(c_double), bias=bias.data_ptr(), to_bias=to_bias.data_ptr(),
            x=self._x.data_ptr(), product=product.data_ptr(),
            slope=self._array(self._batch, pixels).data_ptr(), figures=self._figures.data_ptr(),
            scratch=self._array(self._threads, pixels).data_ptr(),
            partial=self._array(self._threads, FIGURES, dtype=torch.float64).data_ptr(),
        )  # fmt: skip
        return self._kernel("decoded_forward", decoded), self._kernel("decoded_backward", decoded)

    def _add_up_sums(self, rows: int, count: int) -> None:
        latents = self._kl.numel()  # whose KLs are means
        sums = torch.cat([self._figures, self._kl * rows]) if rows else torch.zeros(FIGURES + latents).double()
        self.ranks.add_up(sums)
        self._figures.copy_(sums[:FIGURES])
        torch.div(sums[FIGURES:], count, out=self._kl)

    def _compute_loss(self, rows: int, beta: float | Tensor) -> Tensor:
        # In C for a dozen numbers: after a large product each small operation on tensors takes 20 µs and more.
        self._functions.compute_loss(byref(self._loss_sums), rows, float(beta))
        return self._results_figures

    def _add_to_sums(self, figures: Tensor, count: int) -> None:
        for place, figure in enumerate(self._results[:4]):  # not by tensors: see `_compute_loss`
            self._sums[place] += count * figure

    def _update_by_adam(self, optimizer: FlatAdam, lr: float | Tensor) -> None:
        assert self._adam is not None
        self._functions.adam_step(byref(self._adam), float(lr), self._threads)

    def _adam_structure(self, optimizer: FlatAdam) -> Adam:
        bf16 = self.bfloat16_copy is not None
        parts = [
            Segment(part.storage_offset(), part.storage_offset() + part.numel(), bf16 and part.dim() >= 2)
            for part in self._model.parameters()
        ]
        parameters = self._parameters
        return Adam(
            values=parameters.data_ptr(), gradient=gradient_of(parameters).data_ptr(), mean=optimizer.mean.data_ptr(),
            square=optimizer.square.data_ptr(), step_count=optimizer.step_count.data_ptr(),
            beta1=BETAS[0], beta2=BETAS[1], epsilon=EPSILON, weight_decay=optimizer.weight_decay,
            bfloat16_gradient=None if self._bfloat16_gradient is None else self._bfloat16_gradient.data_ptr(),
            bfloat16_copy=None if self.bfloat16_copy is None else self.bfloat16_copy.data_ptr(),
            segments=(Segment * len(parts))(*parts), count=len(parts),
        )  # fmt: skip
