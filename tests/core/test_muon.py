"""Muon's update: against float64 arithmetic, against torch's own, and in every way to do a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.steps import IMAGES, assert_same, run_again
from tui_vae.config import make_config
from tui_vae.core.models.build import build_model
from tui_vae.core.step.cpu_muon import CPUMuon
from tui_vae.core.step.flat_parameters import flatten_parameters, part_of
from tui_vae.core.step.fused_step import gradient_of
from tui_vae.core.step.load_kernels import Kernels, load_kernels, usable_kernels
from tui_vae.core.step.muon import Muon, block_rows
from tui_vae.trainer.learner import Learner

Array = np.ndarray[Any, np.dtype[np.float64]]
CPU = torch.device("cpu")
LR, MUON_LR, DECAY = 2**-9, 0.05, 0.1  # a rate that float32 holds exactly
SHAPES = [(150, 40), (40, 150), (260, 300), (7, 3, 5, 5), (12,)]
"""Of parameters: tall, wide, in blocks of 65 or 130 rows, a convolution's, a bias."""


def parts_of(shapes: list[tuple[int, ...]], seed: int = 0) -> tuple[nn.Parameter, list[nn.Parameter]]:
    torch.manual_seed(seed)
    module = nn.ParameterList([nn.Parameter(torch.randn(shape)) for shape in shapes])
    return flatten_parameters(module), list(module)


def orthogonal(x: Array) -> Array:
    """Four iterations of Polar Express on the matrix itself, as its authors' algorithm 1 writes them, in float64."""
    x = x / (np.linalg.norm(x) * 1.01 + 1e-7)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    ):
        gram = x @ x.T
        x = a / 1.01 * x + b / 1.01**3 * gram @ x + c / 1.01**5 * gram @ gram @ x
    return x


def expected_update(momentum: Array, gradient: Array) -> Array:
    """What is subtracted from a parameter of `SHAPES`, but for the learning rate. Renews the momentum."""
    momentum += 0.05 * (gradient - momentum)
    ahead = (gradient + 0.95 * (momentum - gradient)).reshape(len(gradient), -1)
    tall = ahead.shape[0] > ahead.shape[1]
    wide = ahead.T if tall else ahead
    rows = {40: 40, 260: 65, 7: 7}[len(wide)]  # the largest divisor up to 128
    update = np.concatenate([orthogonal(wide[at : at + rows]) for at in range(0, len(wide), rows)])
    scale = math.sqrt(max(1, ahead.shape[0] / ahead.shape[1]))
    return scale * (update.T if tall else update).reshape(gradient.shape)


MuonOf = Callable[..., Muon]
KERNELS = [kernels for kernels in usable_kernels() if kernels]
BUILDS = [pytest.param(partial(CPUMuon, kernels), id=kernels.level) for kernels in KERNELS]
WAYS = [pytest.param(Muon, id="torch"), *BUILDS]
"""How an update is made: of PyTorch's products, and of each way of the C kernels that this CPU can run."""

WITH_UNIT = [kernels for kernels in KERNELS if kernels.has_matrix_unit]
NEEDS_UNIT = pytest.mark.skipif(not WITH_UNIT, reason="there is no matrix unit (AMX), or no kernels that can use it")


@pytest.mark.parametrize("make", WAYS)
def test_an_update_is_that_of_float64_arithmetic(make: MuonOf) -> None:
    flat, parts = parts_of(SHAPES)
    muon = make(flat, parts, MUON_LR / LR, DECAY)
    expected = [part.detach().numpy().astype(np.float64) for part in parts]
    momenta = [np.zeros_like(values) for values in expected]
    first, second = np.zeros(12), np.zeros(12)
    for step in range(1, 4):
        for part in parts:
            assert part.grad is not None
            part.grad.copy_(torch.randn(part.shape))
        gradients = [into_float64(part.grad) for part in parts]
        muon.step(LR / step)
        for values, momentum, gradient in zip(expected[:-1], momenta[:-1], gradients[:-1], strict=True):
            values *= 1 - MUON_LR / step * DECAY
            values -= MUON_LR / step * expected_update(momentum, gradient)
        first += 0.1 * (gradients[-1] - first)
        second += 0.001 * (gradients[-1] ** 2 - second)
        expected[-1] *= 1 - LR / step * DECAY
        expected[-1] -= LR / step * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    for part, values in zip(parts, expected, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), values, rtol=0, atol=3e-5)


def into_float64(gradient: Tensor | None) -> Array:
    assert gradient is not None
    return gradient.numpy().astype(np.float64)


def updates_on_unit(gradients: Callable[[tuple[int, ...]], Tensor], steps: int) -> list[tuple[Array, Array]]:
    """The last of some updates of bfloat16 gradients for each matrix of `SHAPES`, and what float64 arithmetic finds."""
    flat, parts = parts_of(SHAPES[:-1])
    muon, copy = CPUMuon(WITH_UNIT[0], flat, parts, 1.0), flat.detach().bfloat16()
    momenta = [np.zeros(part.shape) for part in parts]
    expected = []
    for _ in range(steps):
        flat.data.zero_()
        of_matrices = torch.zeros_like(copy)
        for part in parts:
            part_of(of_matrices, part).copy_(gradients(tuple(part.shape)))
        muon.step(1.0, of_matrices, copy)
        pairs = zip(momenta, parts, strict=True)
        expected = [expected_update(mean, into_float64(part_of(of_matrices, part).float())) for mean, part in pairs]
    assert torch.equal(copy, flat.detach().bfloat16())
    return [(into_float64(-part.detach()), other) for part, other in zip(parts, expected, strict=True)]


@NEEDS_UNIT
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_a_matrix_units_update_is_that_of_float64_arithmetic(scale: float) -> None:
    for mine, expected in updates_on_unit(lambda shape: torch.randn(shape) * scale, steps=3):
        assert np.linalg.norm(mine - expected) < 0.01 * np.linalg.norm(expected)


@NEEDS_UNIT
@pytest.mark.parametrize("columns", [torch.ones, torch.randn])
def test_on_a_matrix_unit_no_rounding_error_grows(columns: Callable[[int], Tensor]) -> None:
    """Gradients of one direction: all other singular values are rounding errors, which the iterations multiply most."""

    def of_one_direction(shape: tuple[int, ...]) -> Tensor:
        return torch.outer(torch.randn(shape[0]), columns(math.prod(shape[1:]))).view(shape)

    for mine, expected in updates_on_unit(of_one_direction, steps=2):
        assert np.linalg.norm(mine - expected) < 0.6 * np.linalg.norm(expected)


@NEEDS_UNIT
def test_on_a_matrix_unit_zeros_stay_zeros() -> None:
    for mine, expected in updates_on_unit(torch.zeros, steps=1):
        assert not mine.any() and not expected.any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has a Muon from 2.9 on")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_with_whole_matrices_it_is_torchs(bfloat16: bool) -> None:
    """torch's does five of Jordan's iterations, which end between 0.7 and 1.2; ours end between 0.4 and 1.6."""
    flat, parts = parts_of([(150, 40), (40, 150), (260, 300)])
    _, theirs = parts_of([(150, 40), (40, 150), (260, 300)])
    muon = Muon(flat, parts, MUON_LR / LR, DECAY, bfloat16, block=10_000)
    usual = torch.optim.Muon(theirs, lr=MUON_LR, weight_decay=DECAY, momentum=0.95)
    start = [part.detach().clone() for part in parts]
    for _ in range(3):
        for part, other in zip(parts, theirs, strict=True):
            assert part.grad is not None
            part.grad.copy_(torch.randn(part.shape))
            other.grad = part.grad.clone()
        muon.step(LR)
        usual.step()
    for part, other, before in zip(parts, theirs, start, strict=True):
        mine, usuals = part.detach() - before, other.detach() - before
        assert torch.cosine_similarity(mine.flatten(), usuals.flatten(), dim=0) > 0.95
        assert mine.norm().item() == pytest.approx(usuals.norm().item(), rel=0.15)


@pytest.mark.parametrize("kernels", [pytest.param(kernels, id=kernels.level) for kernels in KERNELS])
def test_compiled_it_keeps_what_pytorchs_products_do(kernels: Kernels) -> None:
    """With any number of threads, from bfloat16 gradients, nearly of few directions, and into a copy."""
    shapes: list[tuple[int, ...]] = [(512, 784), (784, 512), (64, 256), (33, 7), (1, 5), (19,)]
    plain_flat, plain = parts_of(shapes)
    usual = Muon(plain_flat, plain, MUON_LR / LR, DECAY)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            flat, parts = parts_of(shapes)
            found.append((flat, parts, CPUMuon(kernels, flat, parts, MUON_LR / LR, DECAY), flat.detach().bfloat16()))
    finally:
        torch.set_num_threads(threads)
    for step in range(3):
        torch.manual_seed(step)
        for part in plain:
            assert part.grad is not None
            rows, columns = part.flatten(0, -2).shape if part.dim() > 1 else (1, len(part))
            few = torch.randn(rows, 3) @ torch.randn(3, columns)
            part.grad.copy_((few + 0.1 * torch.randn(rows, columns)).bfloat16().view(part.shape))
        gradient = gradient_of(plain_flat)
        for flat, _, muon, copy in found:
            gradient_of(flat).copy_(gradient)
            muon.step(LR, gradient.bfloat16(), copy)
        usual.step(LR)
    (flat, parts, muon, copy), (other, *_, other_copy) = found
    assert torch.equal(flat, other) and torch.equal(copy, other_copy)
    start, _ = parts_of(shapes)
    far = 0.05 if kernels.has_matrix_unit else 1e-4
    assert (flat - plain_flat).norm() < far * (plain_flat - start).norm()
    if not kernels.has_matrix_unit:
        assert (flat - plain_flat).abs().max() < 1e-3 * MUON_LR
    assert torch.allclose(muon.mean, usual.mean, rtol=1e-6, atol=1e-7)
    assert all(torch.equal(part_of(copy, part), part.bfloat16()) for part in parts if part.dim() > 1)


def test_in_bfloat16_an_update_is_that_of_float32_but_for_rounding() -> None:
    """Also of gradients that are nearly of one direction, as those of a network are."""
    shapes: list[tuple[int, ...]] = [(512, 784), (784, 512), (64, 256)]
    updates = []
    for bfloat16 in (False, True):
        flat, parts = parts_of(shapes)
        muon = Muon(flat, parts, MUON_LR / LR, bfloat16=bfloat16)
        start = flat.detach().clone()
        for step in range(4):
            torch.manual_seed(step)
            for part in parts:
                assert part.grad is not None
                rows, columns = part.shape
                part.grad.copy_(torch.outer(torch.randn(rows), torch.randn(columns)) + 0.01 * torch.randn(part.shape))
            muon.step(LR)
        updates.append(flat.detach() - start)
    exact, rounded = updates
    assert rounded.abs().max() < 4 * MUON_LR
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.97


def test_singular_values_become_nearly_equal_and_zeros_stay_zeros() -> None:
    flat, parts = parts_of([(128, 784), (64, 64)])
    muon = Muon(flat, parts, 1.0)
    before = [part.detach().clone() for part in parts]
    wide, square = parts
    assert wide.grad is not None and square.grad is not None
    spread = torch.logspace(0, -1, 128).unsqueeze(1)
    wide.grad.copy_(torch.linalg.qr(torch.randn(784, 128)).Q.t() * spread)
    square.grad.zero_()
    muon.step(1.0)
    values = torch.linalg.svdvals(before[0] - wide.detach())
    assert values.min() > 0.4 and values.max() < 1.6
    assert torch.equal(square, before[1])


@pytest.mark.parametrize(("rows", "block"), [(512, 128), (400, 100), (64, 64), (100, 100), (130, 65), (257, 257)])
def test_blocks_divide_the_rows(rows: int, block: int) -> None:
    assert block_rows(rows, 128) == block


def learner(kernels: Kernels | None = None, record: Any = None, **options: object) -> Learner:
    given = {
        "hidden": "40,24",
        "latent-dim": 4,
        "batch-size": 32,
        "precision": "float32",
        "optimizer": "muon",
        **options,
    }
    config = make_config(given)
    return Learner(config, build_model(config, (28, 28)), CPU, kernels=kernels, record=record)


def taught(one: Learner, steps: Callable[[int], float] = lambda step: LR) -> Learner:
    for step in range(6):
        one.step(IMAGES[32 * step % 96 :][:32], steps(step), 1.0)
    return one


@pytest.mark.skipif(not load_kernels(), reason=f"no compiled kernels: {load_kernels().reason}")
@pytest.mark.parametrize(("precision", "far"), [("float32", 2e-3), ("bfloat16", 0.1)])
def test_compiled_steps_do_what_autograds_do(precision: str, far: float) -> None:
    """Muon multiplies the rounding of a gradient's smallest singular values several hundred times."""
    mine, theirs = taught(learner(precision=precision)), taught(learner(Kernels(), precision=precision))
    assert mine.kernels != "none" and theirs.kernels == "none"
    for one, other in zip(mine.model.parameters(), theirs.model.parameters(), strict=True):
        assert (one - other).norm() < far * other.norm() + 1e-4


@pytest.mark.parametrize(
    "options", [{}, {"precision": "bfloat16"}, {"model": "conv"}, {"norm": "batch", "weight-decay": 0.1}]
)
def test_a_restored_learner_goes_on_bit_for_bit(options: dict[str, Any]) -> None:
    whole = taught(learner(**options))
    state = {name: tensor.clone() for name, tensor in whole.tensors().items()}
    again = learner(**options)
    again.restore(state)
    for one in (whole, again):
        one.set_muon_ratio(7.0)
    assert_same(taught(whole), taught(again))


def test_a_replayed_step_follows_both_rates() -> None:
    def falling(step: int) -> float:
        return LR * 0.5**step

    def both(record: Any) -> Learner:
        one = taught(learner(record=record), falling)
        one.set_muon_ratio(3.0)
        return taught(one, falling)

    assert_same(both(run_again), both(None))


def test_an_adam_checkpoint_does_not_fit() -> None:
    with pytest.raises(KeyError):
        learner().restore(taught(learner(optimizer="adam")).tensors())
