"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): for every matrix, momentum whose singular
values are made nearly equal; for all other parameters Adam.

The singular values are made equal by Newton-Schulz iterations, which are matrix products alone and cost several times
what a step itself does. Four things make them cheap here. A matrix is cut into blocks of 128 rows (of a tall one:
columns), each of which is made orthogonal by itself, as Khaled et al. 2025 do between whole updates
(https://arxiv.org/abs/2510.16981). The iterations work on a block's Gram matrix, 128 × 128, instead of the block: a
matrix of 512 × 784 then takes an eighth of the multiplications. Each iteration has the best polynomial for its place
(Polar Express, Amsel et al. 2025), so that four do what five of Jordan's do. Compiled kernels do all of this, on a CPU
(`cpu_muon.py`) and on a GPU (`gpu_muon.py`); elsewhere it is PyTorch's products, in bfloat16 where the run's are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tui_vae.core.step.adam import BETAS, EPSILON
from tui_vae.core.step.flat_parameters import part_of

SAFETY = 1.01
"""Matrices are divided by this before the iterations (the authors' value, without unit): Polar Express needs singular
values of at most 1, and rounding makes some a little larger."""

POLYNOMIALS = [
    (a / SAFETY, b / SAFETY**3, c / SAFETY**5)
    for a, b, c in [
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    ]
]
"""(a, b, c) of X ← a·X + b·(X·Xᵀ)·X + c·(X·Xᵀ)²·X for each iteration, without units: the first four of Polar Express
(Amsel et al. 2025, https://arxiv.org/abs/2505.16932, algorithm 1). On images held back from training, runs of 3 and of
10 epochs ended within 0.0002 bits a pixel of those with five of Jordan's; with three, 0.03 worse. Singular values from
0.001 to 1 end between 0.4 and 1.6."""

BFLOAT16_RESTART = 2
"""Iterations after which a Gram matrix is computed anew from its block, in bfloat16. Without that its rounding errors,
which the steep polynomials multiply, grow without bound: updates of 10⁵ were seen."""

LEAST_BFLOAT16_ROWS = 65
"""Rows of a block from which bfloat16 is faster on a CPU: with 64 it took twice as long as float32 (measured, with
AVX512-BF16), since each product first brings its arrays into an order of its own."""

TINY = 1e-7
"""Added to the norm that a matrix is divided by, in the gradient's units: zeros stay zeros (torch.optim's value)."""

MOMENTUM = 0.95
"""The share of the past in the momentum, without unit; the update looks ahead by it (Nesterov). Jordan's value."""

BLOCK = 128
"""Rows that are made orthogonal together: with 64 a run of three epochs ended 0.02 bits a pixel worse, with all rows
no better (on images held back from training)."""


def block_rows(rows: int, most: int) -> int:
    """The largest divisor of `rows` that is at most `most`; all of them where it is less than half of `most`."""
    block = next(size for size in range(min(rows, most), 0, -1) if rows % size == 0)
    return block if 2 * block >= min(rows, most) else rows


def _dtype(rows: int, device: torch.device, bfloat16: bool) -> torch.dtype:
    """The precision of the products of blocks of so many rows."""
    return torch.bfloat16 if bfloat16 and (rows >= LEAST_BFLOAT16_ROWS or device.type != "cpu") else torch.float32


class Blocks:
    """All blocks of one shape, which are multiplied together, and the memory for that.

    Attributes:
        x: the blocks, `(count, rows, columns)` with rows ≤ columns, in the precision of the products. After
            `orthogonalize` it is another tensor.
    """

    def __init__(self, count: int, rows: int, columns: int, device: torch.device, dtype: torch.dtype) -> None:
        self.x, self._next = (torch.zeros(count, rows, columns, device=device, dtype=dtype) for _ in range(2))
        self._norm = torch.zeros(count, 1, 1, device=device)
        self._shrink, self._square = (torch.zeros(count, 1, 1, device=device, dtype=dtype) for _ in range(2))
        self._gram, self._factor, self._product, self._spare = (
            torch.zeros(count, rows, rows, device=device, dtype=dtype) for _ in range(4)
        )
        self._restart = BFLOAT16_RESTART if dtype == torch.bfloat16 else len(POLYNOMIALS)

    def orthogonalize(self) -> None:
        """Bring the singular values of each block in x near 1."""
        for first in range(0, len(POLYNOMIALS), self._restart):
            self._iterate(POLYNOMIALS[first : first + self._restart], normalize=first == 0)

    def _iterate(self, polynomials: Sequence[tuple[float, float, float]], normalize: bool) -> None:
        """Some iterations without the blocks between them (Gram Newton-Schulz), on X, or on X divided by its norm.

        With R = X·Xᵀ and Q = a·I + b·R + c·R², an iteration is X ← Q·X, and R ← Q·R·Q. X itself is needed only once
        more: at the end it is multiplied by the product of all Q.
        """
        gram, factor, product, spare = self._gram, self._factor, self._product, self._spare
        torch.bmm(self.x, self.x.mT, out=gram)
        if normalize:  # by R, which is small: its trace is the square of X's norm
            torch.sum(gram.diagonal(dim1=1, dim2=2), 1, dtype=torch.float32, out=self._norm.view(-1)).sqrt_()
            self._shrink.copy_(self._norm.mul_(SAFETY).add_(TINY).reciprocal_())
            gram.mul_(torch.mul(self._shrink, self._shrink, out=self._square))
        for iteration, (a, b, c) in enumerate(polynomials):
            torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=factor)
            factor.diagonal(dim1=1, dim2=2).add_(a)
            if iteration == 0:
                product.copy_(factor)
            else:
                torch.bmm(factor, product, out=spare)
                product, spare = spare, product
            if iteration < len(polynomials) - 1:
                torch.bmm(gram, factor, out=spare)
                torch.bmm(factor, spare, out=gram)
        if normalize:
            product.mul_(self._shrink)
        torch.bmm(product, self.x, out=self._next)
        self.x, self._next = self._next, self.x


class Block(NamedTuple):
    """Where a block lies in the vector of all parameters.

    start: the place of its first number. stride: from one line of the parameter to the next. rows, columns: of the
    block, rows ≤ columns; if it is tall, its rows are columns of the parameter.
    """

    start: int
    stride: int
    rows: int
    columns: int
    is_tall: bool


@dataclass
class Matrix:
    """A parameter as a matrix: `(out, in)`, and of a convolution `(out, in·height·width)`."""

    part: Tensor
    """The parameter, in its own shape."""
    momentum: Tensor
    shape: tuple[int, int]
    """Rows and columns of its blocks, rows ≤ columns."""

    @property
    def values(self) -> Tensor:
        """The parameter as a matrix."""
        return self.part.flatten(1)

    @property
    def is_tall(self) -> bool:
        """Whether its blocks are parts of its transpose."""
        return self.values.shape[0] > self.values.shape[1]

    @property
    def scale(self) -> float:
        """√max(1, out/in): Jordan's, so that updates of all shapes change a layer's output alike."""
        rows, columns = self.values.shape
        return math.sqrt(max(1.0, rows / columns))

    @property
    def count(self) -> int:
        """The blocks that the matrix is cut into."""
        return self.part.numel() // (self.shape[0] * self.shape[1])

    def blocks(self) -> Iterator[Block]:
        """These blocks, one after the other."""
        columns = self.values.shape[1]
        for number in range(self.count):
            first = number * self.shape[0]  # row of the matrix, or column of a tall one
            start = int(self.part.storage_offset()) + (first if self.is_tall else first * columns)
            yield Block(start, columns, *self.shape, self.is_tall)


class MatrixInBlocks:
    """A matrix, its place among the blocks of its shape, and memory for the way there and back."""

    def __init__(self, matrix: Matrix, blocks: Blocks, first: int) -> None:
        self.matrix, self._blocks, self._first = matrix, blocks, first
        self._values = matrix.values
        self.ahead = torch.zeros_like(self._values)
        """Memory for the momentum that looks ahead, then for the update."""
        # To convert first and then to transpose takes half the time of both at once.
        self._turned = torch.zeros_like(self._values, dtype=blocks.x.dtype) if matrix.is_tall else None

    def _view(self) -> Tensor:
        """Its blocks as `(out, in)`; of a tall matrix as `(in, out)`."""
        mine = self._blocks.x[self._first : self._first + self.matrix.count]
        return mine.reshape(-1, self.matrix.shape[1])

    def into_blocks(self) -> None:
        """Write `ahead` into its blocks."""
        if self._turned is None:
            self._view().copy_(self.ahead)
        else:
            self._view().copy_(self._turned.copy_(self.ahead).t())

    def of_blocks(self) -> Tensor:
        """Its blocks in float32, shaped as its values; overwrites `ahead`."""
        return self.ahead.copy_(self._view() if self._turned is None else self._turned.copy_(self._view().t()))


class Muon:
    """Updates the parameters of a model, which are views of one vector.

    Weight decay is decoupled for both kinds of parameters, each with its own learning rate (AdamW, Loshchilov & Hutter
    2019). All but the products of the iterations is computed in float32.

    Args:
        parameters: the vector `(P,)` (`flatten_parameters`); its `.grad` is the gradient.
        parts: the model's parameters. Those of two and more dimensions are matrices, all others are Adam's.
        ratio: Muon's learning rate over Adam's, which `step` is given; `ratio` may be filled with another.
        bfloat16: whether the iterations' products are bfloat16, or float32.
        block: how many rows at most are made orthogonal together.
    """

    def __init__(
        self, parameters: nn.Parameter, parts: Sequence[Tensor], ratio: float, weight_decay: float = 0.0,
        bfloat16: bool = False, block: int = BLOCK,
    ) -> None:  # fmt: skip
        self._parameters = parameters
        self.weight_decay = weight_decay
        self.refusal = ""
        """Why this is not made of kernels for its device, where that has a reason."""
        values, device = parameters.detach(), parameters.device
        self.ratio = torch.full((), ratio, device=device)
        self.step_count = torch.zeros((), device=device)
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)
        vectors = [part.detach() for part in parts if part.dim() < 2]
        self._vectors = (
            vectors,
            [part_of(self.mean, part) for part in vectors],
            [part_of(self.square, part) for part in vectors],
        )
        self.matrices: list[Matrix] = []
        for part in (part.detach() for part in parts if part.dim() >= 2):
            rows, columns = sorted(part.flatten(1).shape)
            momentum = part_of(self.mean, part).flatten(1)
            self.matrices.append(Matrix(part, momentum, (block_rows(rows, block), columns)))
        self._prepare(bfloat16)

    def _prepare(self, bfloat16: bool) -> None:
        """Allocate all memory of the matrices' update, which a CUDA graph then always finds in its place."""
        device = self._parameters.device
        counts: dict[tuple[int, int], int] = {}
        for matrix in self.matrices:
            counts[matrix.shape] = counts.get(matrix.shape, 0) + matrix.count
        self._blocks = {
            shape: Blocks(count, *shape, device, _dtype(shape[0], device, bfloat16)) for shape, count in counts.items()
        }
        self._in_blocks: list[MatrixInBlocks] = []
        for matrix in reversed(self.matrices):  # so that what is left of a count is the matrix's place
            counts[matrix.shape] -= matrix.count
            self._in_blocks.append(MatrixInBlocks(matrix, self._blocks[matrix.shape], counts[matrix.shape]))

    @torch.no_grad()
    def step(self, lr: float | Tensor, of_matrices: Tensor | None = None, copy: Tensor | None = None) -> None:
        """Update the parameters.

        Args:
            lr: Adam's learning rate, a number or a tensor without dimensions on the device.
            of_matrices: a bfloat16 vector like the parameters that holds the matrices' gradients; by default `.grad`,
                which holds those of all others in any case.
            copy: with `of_matrices`, a bfloat16 vector like the parameters that gets the matrices' new values as well.
        """
        gradient = self._parameters.grad
        assert gradient is not None
        self._update_vectors(gradient, lr)
        self._update_matrices(gradient if of_matrices is None else of_matrices, lr, copy)

    def _update_matrices(self, gradient: Tensor, lr: float | Tensor, copy: Tensor | None) -> None:
        for mine in self._in_blocks:
            ahead = mine.ahead.copy_(part_of(gradient, mine.matrix.part).flatten(1))
            mine.matrix.momentum.lerp_(ahead, 1 - MOMENTUM)
            ahead.lerp_(mine.matrix.momentum, MOMENTUM)
            mine.into_blocks()
        for blocks in self._blocks.values():
            blocks.orthogonalize()
        rate = lr * self.ratio
        for mine in self._in_blocks:
            values = mine.matrix.values
            if self.weight_decay:
                values.mul_(1 - rate * self.weight_decay)
            values.addcmul_(mine.of_blocks(), rate, value=-mine.matrix.scale)
        if copy is not None:
            copy.copy_(self._parameters.detach())

    def _update_vectors(self, gradient: Tensor, lr: float | Tensor) -> None:
        self.step_count.add_(1)
        values, means, squares = self._vectors
        if values:
            kernel = torch._fused_adamw_ if self.weight_decay else torch._fused_adam_
            kernel(
                values, [part_of(gradient, part) for part in values], means, squares, [],
                [self.step_count] * len(values), lr=lr, beta1=BETAS[0], beta2=BETAS[1],
                weight_decay=self.weight_decay, eps=EPSILON, amsgrad=False, maximize=False,
            )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """The state: the count of steps `()`; the momentum, which is Adam's first moment for vectors, and Adam's second
        moment, both as `parameters` (zeros where it belongs to a matrix)."""
        return {"step": self.step_count, "momentum": self.mean, "exp_avg_sq": self.square}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Copy the state of `tensors()` into the present tensors, which a captured CUDA graph goes on using.

        Raises:
            KeyError, RuntimeError: it is the state of another vector, or of another optimizer.
        """
        for name, mine in self.tensors().items():
            mine.copy_(tensors[name])
