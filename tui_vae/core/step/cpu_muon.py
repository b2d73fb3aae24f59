"""Muon on a CPU: the matrices' update by the C kernel, one block a thread (c/muon.c; c/muon_amx.c)."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_float

import torch
from torch import Tensor, nn

from tui_vae.core.step import load_kernels
from tui_vae.core.step.load_kernels import Kernels, MuonBlock
from tui_vae.core.step.muon import BLOCK, MOMENTUM, POLYNOMIALS, SAFETY, TINY, Muon


class CPUMuon(Muon):
    """`Muon`, all of it in float32, but where gradients are bfloat16 and the CPU has a matrix unit: that multiplies
    bfloat16, with X in one plane and Gram matrices in two, as a GPU does (`gpu_muon.py`).

    Uses as many OpenMP threads as PyTorch has when it is made.

    Args:
        kernels: C kernels. The others as of `Muon`; the parameters are float32.
    """

    def __init__(
        self, kernels: Kernels, parameters: nn.Parameter, parts: Sequence[Tensor], ratio: float,
        weight_decay: float = 0.0, block: int = BLOCK,
    ) -> None:  # fmt: skip
        self._functions, self._threads = kernels.library, torch.get_num_threads()
        self._has_matrix_unit = kernels.has_matrix_unit
        super().__init__(parameters, parts, ratio, weight_decay, block=block)

    def _prepare(self, bfloat16: bool) -> None:
        blocks = [MuonBlock(*block, scale=matrix.scale) for matrix in self.matrices for block in matrix.blocks()]
        # The largest are begun first, so that at the end no thread waits long for another.
        blocks.sort(key=lambda block: block.rows * block.rows * (block.rows + block.columns), reverse=True)
        stride = max((self._functions.muon_scratch(byref(block)) for block in blocks), default=0)
        self._scratch = torch.zeros(self._threads, stride)
        self._blocks_memory = (MuonBlock * len(blocks))(*blocks)
        polynomials = [coefficient for polynomial in POLYNOMIALS for coefficient in polynomial]
        self._structure = load_kernels.Muon(
            values=self._parameters.data_ptr(), mean=self.mean.data_ptr(),
            blocks=self._blocks_memory, count=len(blocks), iterations=len(POLYNOMIALS),
            matrix_unit=self._has_matrix_unit, polynomials=(c_float * len(polynomials))(*polynomials),
            ratio=self.ratio.data_ptr(), scratch=self._scratch.data_ptr(), scratch_stride=stride,
            momentum=MOMENTUM, safety=SAFETY, tiny=TINY, weight_decay=self.weight_decay,
        )  # fmt: skip

    def _update_matrices(self, gradient: Tensor, lr: float | Tensor, copy: Tensor | None) -> None:
        structure = self._structure
        if copy is None:
            structure.gradient, structure.bfloat16_gradient, structure.bfloat16_copy = gradient.data_ptr(), None, None
        else:
            structure.bfloat16_gradient, structure.bfloat16_copy = gradient.data_ptr(), copy.data_ptr()
        self._functions.muon_step(byref(structure), float(lr), self._threads)
