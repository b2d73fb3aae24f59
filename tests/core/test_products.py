"""Products on a CPU's matrix unit, against float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tui_vae.core.step.load_kernels import load_kernels
from tui_vae.core.step.products import MatrixUnit

pytestmark = pytest.mark.skipif(not load_kernels().has_matrix_unit, reason="this CPU has no AMX, or no kernels")

SIZES = st.integers(1, 100) | st.sampled_from([16, 32, 33, 128, 784])


def lying(matrix: Tensor, turned: bool) -> Tensor:
    """The same matrix, with its columns contiguous if `turned`."""
    return matrix.t().contiguous().t() if turned else matrix


def unit(threads: int = 2) -> MatrixUnit:
    return MatrixUnit(load_kernels(), threads)


@settings(deadline=None)
@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_a_product_is_the_exact_one_rounded(
    rows: int, columns: int, depth: int, left_turned: bool, right_turned: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(shape, generator=generator).bfloat16() for shape in ((rows, depth), (depth, columns)))
    around = torch.full((rows + 1, columns + 3), 7.0, dtype=torch.bfloat16)
    unit().prepare(lying(left, left_turned), lying(right, right_turned), around[:rows, :columns])()
    exact = left.double() @ right.double()
    # bfloat16 has 8 digits: half of the last one is lost; the sums themselves are float32's.
    allowed = exact.abs() * 2**-8 + (left.double().abs() @ right.double().abs()) * depth * 2**-24
    assert ((around[:rows, :columns].double() - exact).abs() <= allowed).all()
    assert (around[rows:] == 7).all() and (around[:, columns:] == 7).all(), "it writes nowhere else"


def test_the_number_of_threads_changes_no_bit() -> None:
    left, right = torch.randn(300, 784).bfloat16(), torch.randn(784, 130).bfloat16()
    results = [torch.zeros(300, 130, dtype=torch.bfloat16) for _ in range(3)]
    for threads, out in zip((1, 2, 5), results, strict=True):
        unit(threads).prepare(left, right, out)()
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_product_over_no_images_is_zero_and_of_none_is_nothing() -> None:
    products, out = unit(), torch.ones(20, 30, dtype=torch.bfloat16)
    products.prepare(torch.zeros(0, 20).bfloat16().t(), torch.zeros(0, 30).bfloat16(), out)()
    assert (out == 0).all()
    products.prepare(torch.zeros(0, 20).bfloat16(), torch.zeros(20, 30).bfloat16(), out[:0])()


def test_what_is_not_finite_stays_in_its_row() -> None:
    left, right = torch.ones(40, 50).bfloat16(), torch.ones(50, 40).bfloat16()
    left[3, 4], left[5, 6] = float("nan"), float("inf")
    out = torch.zeros(40, 40, dtype=torch.bfloat16)
    unit().prepare(left, right, out)()
    assert out[3].isnan().all() and out[5].isinf().all()
    assert (out[[row for row in range(40) if row not in (3, 5)]] == 50).all()


def test_operands_that_nobody_else_keeps_are_there_when_they_are_multiplied() -> None:
    products, out = unit(), torch.zeros(64, 64, dtype=torch.bfloat16)
    later = products.prepare(torch.full((64, 64), 2.0).bfloat16(), torch.full((64, 64), 3.0).bfloat16(), out)
    others = [torch.zeros(64, 64).bfloat16() for _ in range(10)]
    products.prepare(torch.ones(900, 900).bfloat16(), torch.ones(900, 900).bfloat16(), torch.ones(900, 900).bfloat16())
    later()  # after the memory that all share has grown
    assert (out == 64 * 6).all() and not any(other.any() for other in others)
