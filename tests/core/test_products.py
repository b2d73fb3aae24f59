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


TYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])


@TYPES
@settings(deadline=None)
@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans(), st.integers(-12, 12), st.integers(0, 2**32))
def test_a_product_is_the_exact_one_rounded(
    dtype: torch.dtype,
    rows: int,
    columns: int,
    depth: int,
    left_turned: bool,
    right_turned: bool,
    scale: int,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(shape, generator=generator).to(dtype) for shape in ((rows, depth), (depth, columns)))
    left, right = left * 10.0**scale, right * torch.rand(columns, generator=generator).pow(4).to(dtype)
    around = torch.full((rows + 1, columns + 3), 7.0, dtype=dtype)
    unit().prepare(lying(left, left_turned), lying(right, right_turned), around[:rows, :columns])()
    exact = left.double() @ right.double()
    # Half of a result's last digit is lost: bfloat16 has 8, float32 24. The sums themselves are float32's.
    digits = 8 if dtype == torch.bfloat16 else 24
    allowed = exact.abs() * 2.0**-digits + (left.double().abs() @ right.double().abs()) * (depth + 2) * 2**-24
    assert ((around[:rows, :columns].double() - exact).abs() <= allowed).all()
    assert (around[rows:] == 7).all() and (around[:, columns:] == 7).all(), "it writes nowhere else"


@TYPES
def test_float32_is_no_less_exact_than_pytorchs_own(dtype: torch.dtype) -> None:
    left, right = torch.randn(256, 784).to(dtype), torch.randn(784, 256).to(dtype)
    out, exact = torch.zeros(256, 256, dtype=dtype), left.double() @ right.double()
    unit().prepare(left, right, out)()
    theirs = (torch.mm(left, right).double() - exact).norm()
    assert (out.double() - exact).norm() <= 1.2 * theirs


@TYPES
def test_the_number_of_threads_changes_no_bit(dtype: torch.dtype) -> None:
    left, right = torch.randn(300, 784).to(dtype), torch.randn(784, 130).to(dtype)
    results = [torch.zeros(300, 130, dtype=dtype) for _ in range(3)]
    for threads, out in zip((1, 2, 5), results, strict=True):
        unit(threads).prepare(left, right, out)()
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_product_over_no_images_is_zero_and_of_none_is_nothing() -> None:
    products, out = unit(), torch.ones(20, 30, dtype=torch.bfloat16)
    products.prepare(torch.zeros(0, 20).bfloat16().t(), torch.zeros(0, 30).bfloat16(), out)()
    assert (out == 0).all()
    products.prepare(torch.zeros(0, 20).bfloat16(), torch.zeros(20, 30).bfloat16(), out[:0])()


@TYPES
def test_what_is_not_finite_stays_in_its_row(dtype: torch.dtype) -> None:
    left, right = torch.ones(40, 50, dtype=dtype), torch.ones(50, 40, dtype=dtype)
    left[3, 4], left[5, 6] = float("nan"), float("inf")
    out = torch.zeros(40, 40, dtype=dtype)
    unit().prepare(left, right, out)()
    assert out[3].isnan().all() and not out[5].isfinite().any()
    assert (out[[row for row in range(40) if row not in (3, 5)]] == 50).all()


def test_operands_that_nobody_else_keeps_are_there_when_they_are_multiplied() -> None:
    products, out = unit(), torch.zeros(64, 64, dtype=torch.bfloat16)
    later = products.prepare(torch.full((64, 64), 2.0).bfloat16(), torch.full((64, 64), 3.0).bfloat16(), out)
    others = [torch.zeros(64, 64).bfloat16() for _ in range(10)]
    products.prepare(torch.ones(900, 900).bfloat16(), torch.ones(900, 900).bfloat16(), torch.ones(900, 900).bfloat16())
    later()  # after the memory that all share has grown
    assert (out == 64 * 6).all() and not any(other.any() for other in others)
