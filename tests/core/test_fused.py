"""The compiled training step against autograd and torch.optim, in every build that this CPU can run."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from ctypes import byref
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from tests.support.steps import BETA, IN_ALL, LATENT, LR, SIDE, by_autograd, images, model, norms_with_kernels
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import ACTIVATIONS
from tui_vae.core.objectives import LEAST_SQUARE, OBJECTIVES, Objective
from tui_vae.core.step.adam import FlatAdam
from tui_vae.core.step.cpu import SCRATCH, CPUStep
from tui_vae.core.step.flat_parameters import flatten_parameters
from tui_vae.core.step.fused_step import ACTIVATION_NAMES, OUTPUT_NAMES, has_kernels
from tui_vae.core.step.load_kernels import Hidden, Kernels, load_kernels, usable_kernels

BUILDS = [pytest.param(kernels, id=kernels.level) for kernels in usable_kernels() if kernels]

pytestmark = pytest.mark.skipif(not load_kernels(), reason=f"no compiled kernels: {load_kernels().reason}")


class Fused:
    """A copy of a model, which learns by the kernels."""

    def __init__(
        self, kernels: Kernels, model: MLP, objective: Objective, bfloat16: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.model = copy.deepcopy(model)
        self.flat = flatten_parameters(self.model)
        self.optimizer = FlatAdam(self.flat, weight_decay)
        self.step = CPUStep(kernels, self.model, objective, self.flat, self.optimizer, bfloat16, IN_ALL)
        self.noise = torch.Generator().manual_seed(3)

    def learn(self, images: Tensor) -> Tensor:
        return self.step(images, self.noise, LR, BETA).clone()

    def gradients(self) -> list[Tensor]:
        """Those of its first step, as Adam's first moment holds them."""
        return [
            self.optimizer.mean[part.storage_offset() :][: part.numel()].view_as(part) / 0.1
            for part in self.model.parameters()
        ]


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("name", ["mse", "sigma", "bce"])
@pytest.mark.parametrize(("free_bits", "tc_weight"), [(0.0, 0.0), (0.01, 0.0), (0.01, 6.0)])
def test_figures_and_gradients_are_those_of_autograd(
    kernels: Kernels, name: str, free_bits: float, tc_weight: float
) -> None:
    """Narrow and wide layers whose widths fill no vector, and every row of the tables; autograd works in float64."""
    objective = replace(OBJECTIVES[name], free_bits=free_bits, tc_weight=tc_weight)
    outputs = ["logits"] if name == "bce" else list(OUTPUT_NAMES.values())
    kinds = product(ACTIVATION_NAMES.values(), ["none", *norms_with_kernels()], outputs, ((24, 17), (140,)))
    for activation, norm, output, hidden in kinds:
        vae = model(hidden, activation, norm, output)
        fused = Fused(kernels, vae, objective)
        batch = images()
        figures = fused.learn(batch)
        noise = torch.empty(len(batch), LATENT).normal_(generator=torch.Generator().manual_seed(3))
        exact = copy.deepcopy(vae).double()
        expected = by_autograd(exact, batch, noise.double(), objective)
        torch.testing.assert_close(figures, torch.stack(expected).detach(), rtol=2e-6, atol=1e-5)
        expected[0].backward()
        for (title, parameter), gradient in zip(exact.named_parameters(), fused.gradients(), strict=True):
            assert parameter.grad is not None
            # The bias before a batch normalization has none but for rounding.
            error = (gradient - parameter.grad).abs().max() / (parameter.grad.abs().max() + 1e-9)
            assert error < 2e-5, (activation, norm, output, title)
        for mine, theirs in zip(fused.model.buffers(), exact.buffers(), strict=True):
            torch.testing.assert_close(mine.double(), theirs.double(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kernels", BUILDS)
def test_the_total_correlation_is_that_of_autograd_for_posteriors_far_apart(kernels: Kernels) -> None:
    """Most densities are 0 in float32. The memory is for more images than a batch has, which may be one."""
    vae, objective = model(norm="none"), replace(OBJECTIVES["mse"], tc_weight=20.0)
    head = vae.encoder[-1]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight[:LATENT].mul_(300)  # μ up to ±35
        head.weight[LATENT:].mul_(30)  # σ from 0.3 to 15
    for count in (40, 2, 1):
        fused, batch = Fused(kernels, vae, objective), images(count)
        fused.step._build(64)
        figures = fused.learn(batch)
        noise = torch.empty(count, LATENT).normal_(generator=torch.Generator().manual_seed(3))
        exact = copy.deepcopy(vae).double()
        expected = by_autograd(exact, batch, noise.double(), objective)
        torch.testing.assert_close(figures, torch.stack(expected).detach(), rtol=2e-6, atol=1e-5)
        expected[0].backward()
        for parameter, gradient in zip(exact.parameters(), fused.gradients(), strict=True):
            assert parameter.grad is not None
            assert (gradient - parameter.grad).abs().max() < 2e-5 * parameter.grad.abs().max()


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_learns_as_autograd_and_torchs_adam_do(kernels: Kernels, weight_decay: float) -> None:
    """Batches of different sizes, the largest not first."""
    vae, objective = model(), OBJECTIVES["sigma"]
    fused = Fused(kernels, vae, objective, weight_decay=weight_decay)
    usual = copy.deepcopy(vae)
    kind = torch.optim.AdamW if weight_decay else torch.optim.Adam
    optimizer = kind(usual.parameters(), lr=LR, weight_decay=weight_decay)
    noise = torch.Generator().manual_seed(3)
    for count in (13, 4, 20, 13, 1):
        fused.learn(images(count))
        loss, *_ = by_autograd(usual, images(count), torch.empty(count, LATENT).normal_(generator=noise), objective)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for mine, theirs in zip(fused.model.parameters(), usual.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    padding = fused.flat.numel() - sum(part.numel() for part in fused.model.parameters())
    assert padding and fused.flat.count_nonzero() <= fused.flat.numel() - padding


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("gradient", [1e-9, 1e-7, 1.0])
def test_a_first_update_is_that_of_the_gradients_sign_but_for_tiny_ones(kernels: Kernels, gradient: float) -> None:
    fused = Fused(kernels, model(), OBJECTIVES["mse"])
    fused.flat.data.zero_()
    assert fused.flat.grad is not None
    fused.flat.grad.fill_(-gradient)
    fused.step._update(LR)
    for part in fused.model.parameters():  # but for the padding, which stays as it is
        expected = torch.full_like(part, LR * gradient / (gradient + 1e-8))
        torch.testing.assert_close(part.detach(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kernels", BUILDS)
def test_a_decoder_without_error_has_a_finite_loss_and_the_gradient_of_the_kl(kernels: Kernels) -> None:
    vae, objective, batch = model(), OBJECTIVES["sigma"], torch.zeros_like(images())
    last = vae.decoder[-2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-20.0)  # black, to the last bit
    fused = Fused(kernels, vae, objective)
    figures = fused.learn(batch)
    assert figures[1] == 0 and figures[0] == pytest.approx(
        SIDE * SIDE / 2 * math.log(LEAST_SQUARE) + BETA * float(figures[2]), rel=1e-5
    )
    names = [name for name, _ in fused.model.named_parameters()]
    for name, gradient in zip(names, fused.gradients(), strict=True):
        assert bool(gradient.any()) == name.startswith("encoder"), name


@pytest.mark.parametrize("kernels", BUILDS)
def test_bfloat16_is_float32_to_its_precision(kernels: Kernels) -> None:
    fused = Fused(kernels, model((64, 32)), OBJECTIVES["sigma"], bfloat16=True)
    single = Fused(kernels, model((64, 32)), OBJECTIVES["sigma"])
    torch.testing.assert_close(fused.learn(images(64)), single.learn(images(64)), rtol=0.01, atol=0)
    for low, full in zip(fused.gradients(), single.gradients(), strict=True):
        assert (low - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize("kernels", BUILDS)
def test_the_bfloat16_copy_is_rounded_as_pytorch_rounds(kernels: Kernels) -> None:
    """Half of the values lie in the middle between two bfloat16 numbers."""
    fused = Fused(kernels, model((64, 32)), OBJECTIVES["sigma"], bfloat16=True)
    bits = fused.flat.detach().view(torch.int32)
    bits[::2] = bits[::2] & ~0xFFFF | 0x8000
    fused.step(images(), fused.noise, 0.0, BETA)
    for part in (part for part in fused.model.parameters() if part.dim() == 2):
        assert fused.step.bfloat16_copy is not None
        low = fused.step.bfloat16_copy[part.storage_offset() :][: part.numel()]
        assert torch.equal(low, part.detach().flatten().bfloat16())


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("tc_weight", [0.0, 6.0])
def test_the_same_threads_give_the_same_bits(kernels: Kernels, bfloat16: bool, norm: str, tc_weight: float) -> None:
    objective = replace(OBJECTIVES["sigma"], tc_weight=tc_weight)
    runs = [Fused(kernels, model((64, 32), norm=norm), objective, bfloat16) for _ in range(2)]
    for run in runs:
        for count in (40, 40, 11):
            run.learn(images(count))
    assert torch.equal(runs[0].flat, runs[1].flat)


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_far_values_stay_numbers_and_what_is_none_is_not_hidden(kernels: Kernels, bfloat16: bool) -> None:
    vae = model(norm="none", output="logits")
    with torch.no_grad():
        for part in vae.decoder.parameters():
            part.mul_(1e4)
    for name in ("mse", "bce"):
        far = Fused(kernels, vae, OBJECTIVES[name], bfloat16)
        assert torch.isfinite(far.learn(images())).all() and torch.isfinite(far.flat).all()
    with torch.no_grad():
        next(vae.parameters())[0, 0] = torch.nan
    spoilt = Fused(kernels, vae, OBJECTIVES["mse"], bfloat16)
    assert spoilt.learn(images())[0].isnan() and not torch.isfinite(spoilt.flat).all()


@pytest.mark.parametrize("kernels", BUILDS)
@pytest.mark.parametrize("name", [name for name, row in ACTIVATIONS.items() if row.kernel_code is not None])
def test_activations_are_exact_near_and_far_from_zero(kernels: Kernels, name: str) -> None:
    near = torch.linspace(-12, 12, 4001)
    far = torch.tensor([1e-30, 43.7, 86.9, 87.1, 88.8, 104.0, 1e4, 4e6, 1e20, 1e30])
    x = torch.cat([near, far, -far, torch.tensor([torch.nan])])
    out, to_x, bias, width = torch.zeros_like(x), torch.ones_like(x), torch.zeros_like(x), len(x)
    scratch, to_bias = torch.zeros(SCRATCH * width), torch.zeros_like(x)
    layer = Hidden(
        width=width, activation=ACTIVATIONS[name].kernel_code, bias=bias.data_ptr(), product=x.data_ptr(),
        out=out.data_ptr(), gradient=to_x.data_ptr(), to_bias=to_bias.data_ptr(), scratch=scratch.data_ptr(),
    )  # fmt: skip
    kernels.library.hidden_forward(byref(layer), 1, 1)
    kernels.library.hidden_backward(byref(layer), 1, 1)

    exact = x.double().requires_grad_()
    expected = ACTIVATIONS[name].module()(exact)
    expected.sum().backward()
    torch.testing.assert_close(out.double(), expected.detach(), rtol=3e-6, atol=5e-7, equal_nan=True)
    gradient = exact.grad
    assert gradient is not None and out[-1].isnan()
    torch.testing.assert_close(to_x[:-1].double(), gradient[:-1], rtol=3e-6, atol=2e-6)


def test_what_has_no_kernels_is_left_to_autograd() -> None:
    assert not has_kernels(model(output="tanh"), OBJECTIVES["bce"], "cpu")
    assert not has_kernels(nn.Sequential(nn.Linear(4, 4)), OBJECTIVES["mse"], "cpu")  # type: ignore[arg-type]
    vae = model(output="tanh")
    flat = flatten_parameters(vae)
    with pytest.raises(ValueError, match="no kernels"):
        CPUStep(load_kernels(), vae, OBJECTIVES["bce"], flat, FlatAdam(flat), False, IN_ALL)


def test_it_shares_pytorchs_threads() -> None:
    """A second OpenMP runtime in the process would train many times slower."""
    code = (
        "from tui_vae.core.step.load_kernels import _openmp_runtimes, load_kernels\n"
        "assert load_kernels() and len(_openmp_runtimes()) == 1, _openmp_runtimes()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not Kernels()
