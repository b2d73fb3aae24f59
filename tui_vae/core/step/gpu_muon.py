"""Muon on a GPU: the kernels of triton_muon.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn

from tui_vae.core.step.adam import BETAS, EPSILON
from tui_vae.core.step.flat_parameters import ALIGNMENT, part_of
from tui_vae.core.step.muon import BLOCK, MOMENTUM, POLYNOMIALS, SAFETY, TINY, Muon

ELEMENTS = 1024
"""Elements per program of the elementwise kernel."""

X_PLANES, PLANES = {False: 3, True: 1}, {False: 3, True: 2}
"""Planes of bfloat16 that a run of float32, and one of bfloat16, keeps X and Gram matrices in. The iterations multiply
the rounding errors of a Gram matrix, so that one plane would not do (`BFLOAT16_RESTART`)."""

TILES, DEPTH = {False: 32, True: 64}, 64
"""The sides of the tile that a program computes, and how deep the parts are that it multiplies at once. On an H200 the
steps of the default network with batches of 256 took 0.330 ms in float32 and 0.168 in bfloat16; with tiles of 32 in
bfloat16 0.177. Of 64 in float32 they do not fit: their planes would take 295 kB of shared memory."""

MOST_ALIGNED = 8
"""Numbers that a thread reads at once, at most: 16 bytes of bfloat16."""

LARGEST_DISTANCE, LARGEST_BFLOAT16_DISTANCE = 1e-2, 0.1
"""How far an update may be from that of PyTorch's products, as a part of its norm: well above rounding, which the
iterations multiply, and well below what a wrong kernel does."""

TRIAL_LR = 1e-3
"""The learning rate of that update: Adam's usual one."""


class GPUMuon(Muon):
    """`Muon` in kernels of its own.

    Args:
        kernels: the module `triton_kernels`, or another copy of it. The others as of `Muon`.
    """

    def __init__(
        self, kernels: ModuleType, parameters: nn.Parameter, parts: Sequence[Tensor], ratio: float,
        weight_decay: float = 0.0, bfloat16: bool = False, block: int = BLOCK,
    ) -> None:  # fmt: skip
        self._kernels, self._block = kernels, block
        super().__init__(parameters, parts, ratio, weight_decay, bfloat16, block)

    def _prepare(self, bfloat16: bool) -> None:
        values, device = self._parameters.detach(), self._parameters.device
        self._bfloat16 = bfloat16
        self._x_planes, self._planes = X_PLANES[bfloat16], PLANES[bfloat16]
        self._ahead = torch.zeros(self._x_planes, values.numel(), dtype=torch.bfloat16, device=device)
        self._rates = torch.zeros(3, device=device)
        self._is_matrix = grains_of([matrix.part for matrix in self.matrices], values.numel()).to(device)
        rows, scales, place, self._tiles, tile = [], [], 0, (0, 0), TILES[bfloat16]
        for matrix in self.matrices:
            for each in matrix.blocks():
                rows.append([each.start, each.stride, each.rows, each.columns, int(each.is_tall), place])
                scales.append(matrix.scale)
                place += each.rows**2
                high, wide = -(-each.rows // tile), -(-each.columns // tile)
                self._tiles = max(self._tiles[0], high * high), max(self._tiles[1], high * wide)
        self._rows_of_blocks, self._scales = torch.tensor(rows, device=device), torch.tensor(scales, device=device)
        self._shrinks = torch.zeros_like(self._scales)
        self._size = place  # numbers in the Gram matrices of all blocks
        self._squares = [torch.zeros(self._planes, place, dtype=torch.bfloat16, device=device) for _ in range(6)]
        sizes = [size for row in rows for size in (*row[:4], row[5])]
        self._settings = {"ALIGNED": math.gcd(MOST_ALIGNED, *sizes), "TILE": tile, "DEPTH": DEPTH}

    @torch.no_grad()
    def step(self, lr: float | Tensor, of_matrices: Tensor | None = None, copy: Tensor | None = None) -> None:
        """Update the parameters; see `Muon.step`."""
        values, gradient, kernels = self._parameters.detach(), self._parameters.grad, self._kernels
        assert gradient is not None
        rate = lr if isinstance(lr, Tensor) else torch.tensor(float(lr), device=values.device)
        kernels.rates[(1,)](self.step_count, rate, self._rates, self.weight_decay, BETA1=BETAS[0], BETA2=BETAS[1])
        kernels.muon_prepare[kernels.parts_of(values.numel(), ELEMENTS)](
            values, gradient, gradient if of_matrices is None else of_matrices, self.mean, self.square, self._ahead,
            self._is_matrix, self._rates, values.numel(), MOMENTUM=MOMENTUM, BETA1=BETAS[0], BETA2=BETAS[1],
            EPSILON=EPSILON, PLANES=self._x_planes, GRAIN=ALIGNMENT, BLOCK=ELEMENTS,
        )  # fmt: skip
        if self.matrices:
            product = self._iterate()
            kernels.muon_update[self._tiles[1], len(self._rows_of_blocks)](
                values, values if copy is None else copy, self._ahead, values.numel(), product, self._size,
                self._rows_of_blocks, self._shrinks, self._scales, rate, self.ratio, self.weight_decay,
                BF16=copy is not None, X_PLANES=self._x_planes, **self._settings,
            )  # fmt: skip

    def _iterate(self) -> Tensor:
        """The matrices that the blocks are to be multiplied by, but for their shrinking; see `Blocks._iterate`."""
        raw, gram, factor, between, product, spare = self._squares
        kernels, blocks, size = self._kernels, self._rows_of_blocks, self._size
        settings = self._settings | {"PLANES": self._planes}
        grid = self._tiles[0], len(blocks)

        def polynomial(of: Tensor, out: Tensor, number: int) -> None:
            kernels.muon_polynomial[grid](
                of, size, blocks, out, gram, self._shrinks, *POLYNOMIALS[number], SAFETY=SAFETY, TINY=TINY,
                FIRST=number == 0, **settings,
            )  # fmt: skip

        def multiply(*pairs: tuple[Tensor, Tensor, Tensor]) -> None:
            kernels.muon_multiply[(*grid, len(pairs))](*pairs[0], size, blocks, *pairs[-1], **settings)

        kernels.muon_gram[grid](
            self._ahead, self._parameters.numel(), blocks, raw, size, X_PLANES=self._x_planes, **settings
        )
        polynomial(raw, product, 0)
        multiply((gram, product, between))
        multiply((product, between, gram))
        for number in range(1, len(POLYNOMIALS)):
            polynomial(gram, factor, number)
            if number < len(POLYNOMIALS) - 1:
                multiply((gram, factor, between), (factor, product, spare))
                multiply((factor, between, gram))
            else:
                multiply((factor, product, spare))
            product, spare = spare, product
        return product

    def compare_with_pytorch(self) -> None:
        """Run every kernel once, which compiles it, and compare an update with that of PyTorch's. Changes nothing.

        Raises:
            RuntimeError: the results differ, on this device with these drivers.
            Exception: of any type, from the driver or a compiler.
        """
        values, gradient = self._parameters.detach(), self._parameters.grad
        assert gradient is not None
        before, generator = values.clone(), torch.Generator(values.device).manual_seed(0)
        trial = nn.Parameter(torch.zeros_like(values))
        trial.grad = torch.empty_like(values).normal_(generator=generator)
        mine = [*(matrix.part for matrix in self.matrices), *self._vectors[0]]
        parts = [part_of(trial.detach(), part) for part in mine]
        usual = Muon(trial, parts, float(self.ratio), 0.0, self._bfloat16, self._block)
        try:
            gradient.copy_(trial.grad)
            values.zero_()
            self.step(TRIAL_LR)
            usual.step(TRIAL_LR)
            pairs = zip(mine, parts, strict=True)
            far = torch.stack([(one - other).norm() / other.norm() for one, other in pairs]).max().item()
        finally:
            for vector in (self.step_count, self.mean, self.square, gradient):
                vector.zero_()
            values.copy_(before)
        if not far < (LARGEST_BFLOAT16_DISTANCE if self._bfloat16 else LARGEST_DISTANCE):
            raise RuntimeError(f"on this device the compiled kernels' update is {far:.2g} away from PyTorch's")


def grains_of(parts: Sequence[Tensor], count: int) -> Tensor:
    """For every `ALIGNMENT` of `count` parameters 1 if they belong to one of these parts, else 0: int8 on the CPU."""
    grains = torch.zeros(count // ALIGNMENT, dtype=torch.int8)
    for part in parts:
        start = part.storage_offset() // ALIGNMENT
        grains[start : start - (-part.numel() // ALIGNMENT)] = 1
    return grains
