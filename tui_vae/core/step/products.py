"""The matrix products of a training step: PyTorch's, or the kernels' on a CPU's matrix unit."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_void_p
from functools import partial

import torch
from torch import Tensor

from tui_vae.core.step.load_kernels import Kernels, Operands
from tui_vae.core.step.native_calls import NativeKernel

Multiplication = Callable[[], object]
"""Does a product whose operands have been named before."""

Prepare = Callable[[Tensor, Tensor, Tensor], Multiplication]
"""Names the operands of a product: left `(rows, depth)`, right `(depth, columns)`, and out `(rows, columns)`."""


def prepare_mm(left: Tensor, right: Tensor, out: Tensor) -> Multiplication:
    """Prepare PyTorch's product: see `Prepare`."""
    return partial(torch.mm, left, right, out=out)


class MatrixUnit:
    """Products of bfloat16 or float32 on a CPU's matrix unit (c/products.c). Operands in its order share one memory.

    Args:
        kernels: those with `has_matrix_unit`.
        threads: of OpenMP.
    """

    def __init__(self, kernels: Kernels, threads: int) -> None:
        self._functions, self._threads = kernels.library, threads
        self._address = c_void_p()  # of `_scratch`, for products prepared before it grew too
        self._reserve(0)

    def _reserve(self, numbers: int) -> None:
        self._scratch = torch.zeros(numbers, dtype=torch.bfloat16)
        self._address.value = self._scratch.data_ptr()

    def prepare(self, left: Tensor, right: Tensor, out: Tensor) -> Multiplication:
        """Prepare a product of one type: see `Prepare`. Each operand's rows, or its columns, are contiguous."""
        (rows, depth), columns = left.shape, right.shape[1]
        (left_stride, left_turned), (right_stride, right_turned) = _layout(left), _layout(right)
        operands = Operands(
            left=left.data_ptr(), right=right.data_ptr(), out=out.data_ptr(), left_stride=left_stride,
            right_stride=right_stride, out_stride=out.stride(0), left_turned=left_turned, right_turned=right_turned,
            is_float32=out.dtype == torch.float32, rows=rows, columns=columns, depth=depth,
            scratch=addressof(self._address),
        )  # fmt: skip
        needed = self._functions.multiply_scratch(rows, columns, depth, operands.is_float32)
        if needed > len(self._scratch):
            self._reserve(needed)
        alive = self, left, right, out
        return NativeKernel(self._functions, "multiply", operands, self._threads, alive=alive).bound(0)


def _layout(matrix: Tensor) -> tuple[int, bool]:
    """Numbers from one line in memory to the next, and whether lines are columns."""
    to_row, to_column = matrix.stride()
    return (to_row, False) if to_column == 1 else (to_column, True)
