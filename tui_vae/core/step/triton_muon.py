"""Muon's update on a GPU in 14 launches: the iterations of muon.py on the blocks of all matrices at once, in Triton.

A block's whole update would be too much for one multiprocessor, and a product of one block's Gram matrices, 128 numbers
wide, is too little for a GPU. Hence a launch is one product of every block, cut into tiles: a program takes one. Blocks
stay where they lie in the vector of all parameters.

Numbers that are multiplied lie in memory as sums of bfloat16 numbers, in one plane each: PLANES of 2 keep 16 bits of a
number, and 3 keep the 24 of float32. A product is then one, three or six of bfloat16, added up in float32: what would
be below the last plane is left out.

A row of `blocks` is a block, int64: START, its first number's place among the parameters; STRIDE, from one line there
to the next; ROWS ≤ COLUMNS; TALL, 1 where its rows are columns of the parameter; PLACE, that of its Gram matrices in
each of their planes, whose lines are ROWS numbers long. ALIGNED is a number that divides all but TALL.
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
def _write(planes, at, value, size, inside, PLANES: tl.constexpr):
    """Write float32 numbers into `PLANES` planes, which are `size` numbers apart."""
    high = value.to(tl.bfloat16)
    tl.store(planes + at, high, mask=inside)
    if PLANES > 1:
        rest = value - high.to(tl.float32)
        middle = rest.to(tl.bfloat16)
        tl.store(planes + size + at, middle, mask=inside)
        if PLANES > 2:
            tl.store(planes + 2 * size + at, (rest - middle.to(tl.float32)).to(tl.bfloat16), mask=inside)


@triton.jit
def _read(planes, at, size, inside, PLANES: tl.constexpr):
    """The numbers that `_write` wrote, in float32."""
    value = tl.load(planes + at, mask=inside, other=0).to(tl.float32)
    if PLANES > 1:
        value += tl.load(planes + size + at, mask=inside, other=0).to(tl.float32)
        if PLANES > 2:
            value += tl.load(planes + 2 * size + at, mask=inside, other=0).to(tl.float32)
    return value


@triton.jit
def _add_product(
    sums, left, left_at, left_size, left_inside, right, right_at, right_size, right_inside,
    TURN_LEFT: tl.constexpr, TURN_RIGHT: tl.constexpr, PLANES: tl.constexpr,
):  # fmt: skip
    """sums + left · right of two tiles, each of which may be read as its transpose."""
    first = _turned(tl.load(left + left_at, mask=left_inside, other=0), TURN_LEFT)
    second = _turned(tl.load(right + right_at, mask=right_inside, other=0), TURN_RIGHT)
    if PLANES > 1:
        first_low = _turned(tl.load(left + left_size + left_at, mask=left_inside, other=0), TURN_LEFT)
        second_low = _turned(tl.load(right + right_size + right_at, mask=right_inside, other=0), TURN_RIGHT)
        if PLANES > 2:
            first_least = _turned(tl.load(left + 2 * left_size + left_at, mask=left_inside, other=0), TURN_LEFT)
            second_least = _turned(tl.load(right + 2 * right_size + right_at, mask=right_inside, other=0), TURN_RIGHT)
            sums = tl.dot(first, second_least, sums)
            sums = tl.dot(first_least, second, sums)
            sums = tl.dot(first_low, second_low, sums)
        sums = tl.dot(first, second_low, sums)
        sums = tl.dot(first_low, second, sums)
    return tl.dot(first, second, sums)


@triton.jit
def _turned(tile, TURN: tl.constexpr):
    return tl.trans(tile) if TURN else tile


@triton.jit
def muon_prepare(
    values, gradient, of_matrices, mean, square, ahead, is_matrix, rates, count, MOMENTUM: tl.constexpr,
    BETA1: tl.constexpr, BETA2: tl.constexpr, EPSILON: tl.constexpr, PLANES: tl.constexpr, GRAIN: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Renew all momenta; of matrices write to `ahead` the momentum that looks ahead, and update all others by Adam.

    All are `(count,)`, as the vector of all parameters, and `ahead` is `PLANES` of these; `is_matrix` has a number for
    every `GRAIN`. `of_matrices` may be bfloat16. `rates` is what `triton_kernels.rates` finds.
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
    _write(ahead, at, slope + MOMENTUM * (first - slope), count, of_matrix, PLANES)
    second = BETA2 * tl.load(square + at, mask=of_vector, other=0) + (1.0 - BETA2) * slope * slope
    value = tl.load(values + at, mask=of_vector, other=0) * keep - rate * first / (tl.sqrt(second) * root + EPSILON)
    tl.store(square + at, second, mask=of_vector)
    tl.store(values + at, value, mask=of_vector)


@triton.jit
def _field(block, number: tl.constexpr, ALIGNED: tl.constexpr):
    """A field of a row of `blocks`, which `ALIGNED` divides: that many numbers at once can then be read from there."""
    return tl.multiple_of(tl.load(block + number), ALIGNED)


@triton.jit
def muon_gram(
    ahead, count, blocks, grams, size, X_PLANES: tl.constexpr, PLANES: tl.constexpr, ALIGNED: tl.constexpr,
    TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """X·Xᵀ of every block X: of block `program_id(1)` the tile `program_id(0)`, `DEPTH` columns of X at a time.

    `ahead` has planes of `count` numbers, `grams` of `size`.
    """
    block = blocks + tl.program_id(1) * FIELDS
    rows, columns = _field(block, ROWS, ALIGNED), _field(block, COLUMNS, ALIGNED)
    across, tile = tl.cdiv(rows, TILE), tl.program_id(0).to(tl.int64)
    if tile < across * across:
        lines, stride = ahead + _field(block, START, ALIGNED), _field(block, STRIDE, ALIGNED)
        down = tile // across * TILE + tl.arange(0, TILE)
        right = tile % across * TILE + tl.arange(0, TILE)
        sums = tl.zeros([TILE, TILE], tl.float32)
        if tl.load(block + TALL):  # a line is a column of X
            for done in range(0, columns, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                of_line = deep[:, None] * stride
                sums = _add_product(
                    sums, lines, of_line + down[None, :], count, (deep < columns)[:, None] & (down < rows)[None, :],
                    lines, of_line + right[None, :], count, (deep < columns)[:, None] & (right < rows)[None, :],
                    True, False, X_PLANES,
                )  # fmt: skip
        else:
            for done in range(0, columns, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                sums = _add_product(
                    sums, lines, down[:, None] * stride + deep[None, :], count,
                    (down < rows)[:, None] & (deep < columns)[None, :],
                    lines, right[:, None] * stride + deep[None, :], count,
                    (right < rows)[:, None] & (deep < columns)[None, :], False, True, X_PLANES,
                )  # fmt: skip
        at = _field(block, PLACE, ALIGNED) + down[:, None] * rows + right[None, :]
        _write(grams, at, sums, size, (down < rows)[:, None] & (right < rows)[None, :], PLANES)


@triton.jit
def _square_product(
    left, right, size, down, across, rows, PLANES: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr
):  # fmt: skip
    """The tile at (`down`, `across`) of the product of two matrices `(rows, rows)`."""
    sums = tl.zeros([TILE, TILE], tl.float32)
    for done in range(0, rows, DEPTH):
        deep = done + tl.arange(0, DEPTH)
        sums = _add_product(
            sums, left, down[:, None] * rows + deep[None, :], size, (down < rows)[:, None] & (deep < rows)[None, :],
            right, deep[:, None] * rows + across[None, :], size, (deep < rows)[:, None] & (across < rows)[None, :],
            False, False, PLANES,
        )  # fmt: skip
    return sums


@triton.jit
def muon_polynomial(
    grams, size, blocks, factors, scaled, shrinks, a, b, c, SAFETY: tl.constexpr, TINY: tl.constexpr,
    FIRST: tl.constexpr, PLANES: tl.constexpr, ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Q = a·I + b·R + c·R² for the Gram matrix R of every block. All matrices lie in planes of `size` numbers.

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
        at = place + down[:, None] * rows + across[None, :]
        square = _square_product(grams + place, grams + place, size, down, across, rows, PLANES, TILE, DEPTH)
        own = _read(grams, at, size, inside, PLANES)
        if FIRST:
            trace = tl.zeros([DIAGONAL], tl.float32)
            for done in range(0, rows, DIAGONAL):
                number = done + tl.arange(0, DIAGONAL)
                trace += _read(grams, place + number * (rows + 1), size, number < rows, PLANES)
            shrink = 1.0 / (tl.sqrt(tl.sum(trace)) * SAFETY + TINY)
            own *= shrink * shrink
            square *= shrink * shrink * shrink * shrink
            _write(scaled, at, own, size, inside, PLANES)
            if tile == 0:
                tl.store(shrinks + tl.program_id(1), shrink)
        identity = tl.where(down[:, None] == across[None, :], 1.0, 0.0)
        _write(factors, at, a * identity + b * own + c * square, size, inside, PLANES)


@triton.jit
def muon_multiply(
    left, right, out, size, blocks, other_left, other_right, other_out,
    PLANES: tl.constexpr, ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """left · right of every block's matrices `(rows, rows)`; the programs with `program_id(2) == 1` take the others."""
    block = blocks + tl.program_id(1) * FIELDS
    rows, place = _field(block, ROWS, ALIGNED), _field(block, PLACE, ALIGNED)
    side, tile = tl.cdiv(rows, TILE), tl.program_id(0).to(tl.int64)
    if tile < side * side:
        if tl.program_id(2) == 1:
            left, right, out = other_left, other_right, other_out
        down = tile // side * TILE + tl.arange(0, TILE)
        across = tile % side * TILE + tl.arange(0, TILE)
        product = _square_product(left + place, right + place, size, down, across, rows, PLANES, TILE, DEPTH)
        inside = (down < rows)[:, None] & (across < rows)[None, :]
        _write(out, place + down[:, None] * rows + across[None, :], product, size, inside, PLANES)


@triton.jit
def muon_update(
    values, bfloat16_copy, ahead, count, products, size, blocks, shrinks, scales, lr, ratio, weight_decay,
    BF16: tl.constexpr, X_PLANES: tl.constexpr, ALIGNED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """values ← values·(1 - rate·decay) - rate·scale·P·X for every block X, with the symmetric P at `products`, times
    its shrinking. A program takes a tile of the parameter. If `BF16`, the new values also go to `bfloat16_copy`.

    `ahead` has planes of `count` numbers, `products` of `size`, of which as many are multiplied.
    """
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
                sums = _add_product(
                    sums, ahead + start, line[:, None] * stride + deep[None, :], count,
                    (line < columns)[:, None] & (deep < rows)[None, :],
                    product, deep[:, None] * rows + across[None, :], size,
                    (deep < rows)[:, None] & (across < rows)[None, :], False, False, X_PLANES,
                )  # fmt: skip
        else:
            for done in range(0, rows, DEPTH):
                deep = done + tl.arange(0, DEPTH)
                sums = _add_product(
                    sums, product, line[:, None] * rows + deep[None, :], size,
                    (line < rows)[:, None] & (deep < rows)[None, :],
                    ahead + start, deep[:, None] * stride + across[None, :], count,
                    (deep < rows)[:, None] & (across < columns)[None, :], False, False, X_PLANES,
                )  # fmt: skip
        rate = tl.load(lr) * tl.load(ratio)
        by = rate * tl.load(scales + tl.program_id(1)) * tl.load(shrinks + tl.program_id(1))
        at = start + line[:, None] * stride + across[None, :]
        inside = (line < line_count)[:, None] & (across < length)[None, :]
        value = tl.load(values + at, mask=inside, other=0) * (1.0 - rate * weight_decay) - by * sums
        tl.store(values + at, value, mask=inside)
        if BF16:
            tl.store(bfloat16_copy + at, value.to(bfloat16_copy.dtype.element_ty), mask=inside)
