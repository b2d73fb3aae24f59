"""Muon's update on a GPU in 14 launches: the iterations of muon.py on the blocks of all matrices at once, in Triton.

A block's whole update would be too much for one multiprocessor, and a product of one block's Gram matrices, 128 numbers
wide, is too little for a GPU. Hence a launch is one product of every block, cut into tiles: a program takes one. Blocks
stay where they lie in the vector of all parameters. Gram matrices and their products are float32: products of three of
tf32 numbers each, which keep 22 bits of every factor.

A row of `blocks` is a block, int64: START, its first number's place among the parameters; STRIDE, from one line there
to the next; ROWS ≤ COLUMNS; TALL, 1 where its rows are columns of the parameter; PLACE, that of its Gram matrices among
all blocks', whose lines are ROWS numbers long. ALIGNED is a number that divides all but TALL.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# Triton's compiler reads these functions, and has its own types.

from __future__ import annotations

import triton
import triton.language as tl

START, STRIDE, ROWS, COLUMNS, TALL, PLACE = (tl.constexpr(number) for number in range(6))
FIELDS = tl.constexpr(6)
"""Numbers in a row of `blocks`."""

DIAGONAL = tl.constexpr(128)
"""Numbers of a Gram matrix's diagonal that are added up at once: those of a block of the usual size."""


@triton.jit
def muon_prepare(
    values, gradient, of_matrices, mean, square, ahead, is_matrix, rates, count, MOMENTUM: tl.constexpr,
    BETA1: tl.constexpr, BETA2: tl.constexpr, EPSILON: tl.constexpr, GRAIN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Renew all momenta; of matrices write to `ahead` the momentum that looks ahead, and update all others by Adam.

    All are `(count,)`, as the vector of all parameters; `is_matrix` has a number for every `GRAIN`. `of_matrices` and
    `ahead` may be bfloat16. `rates` is what `triton_kernels.rates` finds.
    """
    keep, rate, root = tl.load(rates), tl.load(rates + 1), tl.load(rates + 2)
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    in_matrix = tl.load(is_matrix + at // GRAIN, mask=inside, other=1) != 0
    of_matrix, of_vector = inside & in_matrix, inside & (in_matrix == 0)
    slope = tl.where(
        in_matrix, tl.load(of_matrices + at, mask=of_matrix, other=0).to(tl.float32),
        tl.load(gradient + at, mask=of_vector, other=0),
    )  # fmt: skip
    past = tl.load(mean + at, mask=inside, other=0)
    first = tl.where(in_matrix, past + (1.0 - MOMENTUM) * (slope - past), BETA1 * past + (1.0 - BETA1) * slope)
    tl.store(mean + at, first, mask=inside)
    tl.store(ahead + at, (slope + MOMENTUM * (first - slope)).to(ahead.dtype.element_ty), mask=of_matrix)
    second = BETA2 * tl.load(square + at, mask=of_vector, other=0) + (1.0 - BETA2) * slope * slope
    value = tl.load(values + at, mask=of_vector, other=0) * keep - rate * first / (tl.sqrt(second) * root + EPSILON)
    tl.store(square + at, second, mask=of_vector)
    tl.store(values + at, value, mask=of_vector)


@triton.jit
def _field(block, number: tl.constexpr, ALIGNED: tl.constexpr):
    """A field of a row of `blocks`, which `ALIGNED` divides: that many numbers at once can then be read from there."""
    return tl.multiple_of(tl.load(block + number), ALIGNED)


@triton.jit
def _read(lines, line, place, line_count, length, stride):
    """A tile: the numbers at `place` of each `line`, 0 beyond the lines and their length."""
    inside = (line < line_count)[:, None] & (place < length)[None, :]
    return tl.load(lines + line[:, None] * stride + place[None, :], mask=inside, other=0)


@triton.jit
def _dot(left, right, sums):
    return tl.dot(left, right, sums, input_precision="tf32x3")


@triton.jit
def muon_gram(ahead, blocks, grams, ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr):
    """X·Xᵀ of every block X: of block `program_id(1)` the tile `program_id(0)`, `DEPTH` columns of X at a time."""
    block = blocks + tl.program_id(1) * FIELDS
    rows, columns = _field(block, ROWS, ALIGNED), _field(block, COLUMNS, ALIGNED)
    across, tile = tl.cdiv(rows, TILE), tl.program_id(0).to(tl.int64)
    if tile < across * across:
        lines, stride = ahead + _field(block, START, ALIGNED), _field(block, STRIDE, ALIGNED)
        down = tile // across * TILE + tl.arange(0, TILE)
        right = tile % across * TILE + tl.arange(0, TILE)
        sums = tl.zeros([TILE, TILE], tl.float32)
        if tl.load(block + TALL):
            for done in range(0, columns, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                mine = _read(lines, deep, down, columns, rows, stride)
                sums = _dot(tl.trans(mine), _read(lines, deep, right, columns, rows, stride), sums)
        else:
            for done in range(0, columns, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                mine = _read(lines, down, deep, rows, columns, stride)
                sums = _dot(mine, tl.trans(_read(lines, right, deep, rows, columns, stride)), sums)
        at = _field(block, PLACE, ALIGNED) + down[:, None] * rows + right[None, :]
        tl.store(grams + at, sums, mask=(down < rows)[:, None] & (right < rows)[None, :])


@triton.jit
def _square_product(left, right, down, across, rows, TILE: tl.constexpr, DEPTH: tl.constexpr):
    """The tile at (`down`, `across`) of the product of two matrices `(rows, rows)`."""
    sums = tl.zeros([TILE, TILE], tl.float32)
    for done in range(0, rows, DEPTH):
        deep = done + tl.arange(0, DEPTH)
        sums = _dot(_read(left, down, deep, rows, rows, rows), _read(right, deep, across, rows, rows, rows), sums)
    return sums


@triton.jit
def muon_polynomial(
    grams, blocks, factors, scaled, shrinks, a, b, c, SAFETY: tl.constexpr, TINY: tl.constexpr, FIRST: tl.constexpr,
    ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Q = a·I + b·R + c·R² for the Gram matrix R of every block.

    If `FIRST`, R is not the matrix at `grams` but that of X divided by its norm, which also goes to `scaled`, and what
    X is multiplied by for that to `shrinks`. The square of the norm is the trace of the Gram matrix.
    """
    block = blocks + tl.program_id(1) * FIELDS
    rows, place = _field(block, ROWS, ALIGNED), _field(block, PLACE, ALIGNED)
    side, tile = tl.cdiv(rows, TILE), tl.program_id(0).to(tl.int64)
    if tile < side * side:
        down = tile // side * TILE + tl.arange(0, TILE)
        across = tile % side * TILE + tl.arange(0, TILE)
        inside = (down < rows)[:, None] & (across < rows)[None, :]
        at = down[:, None] * rows + across[None, :]
        square = _square_product(grams + place, grams + place, down, across, rows, TILE, DEPTH)
        own = tl.load(grams + place + at, mask=inside, other=0)
        if FIRST:
            trace = tl.zeros([DIAGONAL], tl.float32)
            for done in range(0, rows, DIAGONAL):
                number = done + tl.arange(0, DIAGONAL)
                trace += tl.load(grams + place + number * (rows + 1), mask=number < rows, other=0)
            shrink = 1.0 / (tl.sqrt(tl.sum(trace)) * SAFETY + TINY)
            own *= shrink * shrink
            square *= shrink * shrink * shrink * shrink
            tl.store(scaled + place + at, own, mask=inside)
            if tile == 0:
                tl.store(shrinks + tl.program_id(1), shrink)
        identity = tl.where(down[:, None] == across[None, :], 1.0, 0.0)
        tl.store(factors + place + at, a * identity + b * own + c * square, mask=inside)


@triton.jit
def muon_multiply(
    left, right, out, blocks, other_left, other_right, other_out,
    ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """left · right of every block's matrices `(rows, rows)`; the programs with `program_id(2) == 1` take the others."""
    block = blocks + tl.program_id(1) * FIELDS
    rows, place = _field(block, ROWS, ALIGNED), _field(block, PLACE, ALIGNED)
    side, tile = tl.cdiv(rows, TILE), tl.program_id(0).to(tl.int64)
    if tile < side * side:
        down = tile // side * TILE + tl.arange(0, TILE)
        across = tile % side * TILE + tl.arange(0, TILE)
        at = place + down[:, None] * rows + across[None, :]
        inside = (down < rows)[:, None] & (across < rows)[None, :]
        if tl.program_id(2) == 0:
            tl.store(out + at, _square_product(left + place, right + place, down, across, rows, TILE, DEPTH), inside)
        else:
            product = _square_product(other_left + place, other_right + place, down, across, rows, TILE, DEPTH)
            tl.store(other_out + at, product, mask=inside)


@triton.jit
def muon_update(
    values, bfloat16_copy, ahead, products, blocks, shrinks, scales, lr, ratio, weight_decay, BF16: tl.constexpr,
    ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """values ← values·(1 - rate·decay) - rate·scale·P·X for every block X, with the symmetric P at `products`, times
    its shrinking. A program takes a tile of the parameter. If `BF16`, the new values also go to `bfloat16_copy`."""
    block = blocks + tl.program_id(1) * FIELDS
    rows, columns = _field(block, ROWS, ALIGNED), _field(block, COLUMNS, ALIGNED)
    tall = tl.load(block + TALL) != 0
    # A line of the parameter is a row of the block, or if it is tall a column.
    line_count = tl.where(tall, columns, rows)
    length = tl.multiple_of(tl.where(tall, rows, columns), ALIGNED)
    side, tile = tl.cdiv(length, TILE), tl.program_id(0).to(tl.int64)
    if tile < tl.cdiv(line_count, TILE) * side:
        start, stride = _field(block, START, ALIGNED), _field(block, STRIDE, ALIGNED)
        line = tile // side * TILE + tl.arange(0, TILE)
        across = tile % side * TILE + tl.arange(0, TILE)
        product = products + _field(block, PLACE, ALIGNED)
        sums = tl.zeros([TILE, TILE], tl.float32)
        if tall:
            for done in range(0, rows, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                mine = _read(ahead + start, line, deep, columns, rows, stride)
                sums = _dot(mine, _read(product, deep, across, rows, rows, rows).to(ahead.dtype.element_ty), sums)
        else:
            for done in range(0, rows, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                mine = _read(product, line, deep, rows, rows, rows).to(ahead.dtype.element_ty)
                sums = _dot(mine, _read(ahead + start, deep, across, rows, columns, stride), sums)
        rate = tl.load(lr) * tl.load(ratio)
        by = rate * tl.load(scales + tl.program_id(1)) * tl.load(shrinks + tl.program_id(1))
        at = start + line[:, None] * stride + across[None, :]
        inside = (line < line_count)[:, None] & (across < length)[None, :]
        value = tl.load(values + at, mask=inside, other=0) * (1.0 - rate * weight_decay) - by * sums
        tl.store(values + at, value, mask=inside)
        if BF16:
            tl.store(bfloat16_copy + at, value.to(bfloat16_copy.dtype.element_ty), mask=inside)
