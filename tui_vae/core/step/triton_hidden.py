"""Triton kernels of hidden layers, from a product to its activation and back; triton_kernels.py has the others."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# Triton's compiler reads these functions, and has its own types.

from __future__ import annotations

import triton
import triton.language as tl

ANY_BATCH = ("rows", "programs")
"""Arguments for whose new values a kernel isn't compiled again: the last batch of an epoch has other ones."""


@triton.jit
def _activated(value, ACTIVATION: tl.constexpr):
    """The activation named `ACTIVATION` (a key of `ACTIVATIONS`), and its derivative."""
    if ACTIVATION == "silu":
        s = tl.sigmoid(value)
        out = value * s
        slope = s * (1.0 + value * (1.0 - s))
    elif (
        ACTIVATION == "gelu"
    ):  # x·Φ(x) with Φ of the normal distribution: erf(x/√2), and its density 1/√(2π)·exp(-x²/2)
        s = 0.5 * (1.0 + tl.erf(value * 0.7071067811865476))
        out = value * s
        slope = s + value * 0.3989422804014327 * tl.exp(-0.5 * value * value)
    else:
        tl.static_assert(ACTIVATION == "relu", "an activation without a kernel")
        out = tl.where(value < 0, 0.0, value)
        slope = tl.where(value > 0, 1.0, 0.0)
    return out, slope


@triton.jit
def hidden_forward(
    product, bias, norm_weight, norm_bias, out, statistics, epsilon,
    WIDTH: tl.constexpr, NORM: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Layer normalization (Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450) and activation.

    A program takes a row. `product`, `out`: `(rows, WIDTH)`; `statistics`: `(rows, 2)`, mean and 1/standard deviation.
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    at = row * WIDTH + column
    value = tl.load(product + at, mask=inside, other=0).to(tl.float32) + tl.load(bias + column, mask=inside, other=0)
    if NORM:
        mean = tl.sum(value, 0) / WIDTH
        centred = tl.where(inside, value - mean, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / WIDTH + epsilon)
        tl.store(statistics + 2 * row, mean)
        tl.store(statistics + 2 * row + 1, scale)
        value = centred * scale * tl.load(norm_weight + column, mask=inside, other=0)
        value += tl.load(norm_bias + column, mask=inside, other=0)
    value, _ = _activated(value, ACTIVATION)
    tl.store(out + at, value.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=ANY_BATCH)
def hidden_backward(
    product, bias, norm_weight, norm_bias, gradient, statistics, to_bias, to_norm_weight, to_norm_bias, rows, sums,
    WIDTH: tl.constexpr, NORM: tl.constexpr, ACTIVATION: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Replace the gradient of a hidden layer's output, `(rows, WIDTH)`, by that of its product.

    A program takes `ROWS` rows; it writes its sums of the vectors' gradients to its row of `partials`, `(…, sums)`.
    """
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    offset = tl.load(bias + column, mask=inside, other=0)
    factor = tl.load(norm_weight + column, mask=inside, other=0)
    moved = tl.load(norm_bias + column, mask=inside, other=0)
    bias_sum = tl.zeros([BLOCK], tl.float32)
    norm_weight_sum = tl.zeros([BLOCK], tl.float32)
    norm_bias_sum = tl.zeros([BLOCK], tl.float32)
    for number in range(ROWS):
        row = program * ROWS + number
        there = inside & (row < rows)
        at = row * WIDTH + column
        x = tl.load(product + at, mask=there, other=0).to(tl.float32) + offset
        slope = tl.load(gradient + at, mask=there, other=0).to(tl.float32)
        scale = 1.0
        value = x
        if NORM:
            mean = tl.load(statistics + 2 * row, mask=row < rows, other=0)
            scale = tl.load(statistics + 2 * row + 1, mask=row < rows, other=0)
            x = tl.where(there, (x - mean) * scale, 0.0)
            value = x * factor + moved
        _, through = _activated(value, ACTIVATION)
        slope *= through
        if NORM:
            norm_bias_sum += slope
            norm_weight_sum += slope * x
            slope *= factor
            slope = (slope - tl.sum(slope, 0) / WIDTH - x * (tl.sum(slope * x, 0) / WIDTH)) * scale
        bias_sum += tl.where(there, slope, 0.0)
        tl.store(gradient + at, slope.to(gradient.dtype.element_ty), mask=there)
    at = program * sums + column
    tl.store(to_bias + at, bias_sum, mask=inside)
    if NORM:
        tl.store(to_norm_weight + at, norm_weight_sum, mask=inside)
        tl.store(to_norm_bias + at, norm_bias_sum, mask=inside)


@triton.jit
def _tile(row, rows, column, WIDTH: tl.constexpr):
    """The offsets of some columns of some rows, and a mask of those that exist."""
    at = row.to(tl.int64)[:, None] * WIDTH + column[None, :]
    return at, (row < rows)[:, None] & (column < WIDTH)[None, :]


@triton.jit(do_not_specialize=ANY_BATCH)
def batch_forward(
    product, bias, norm_weight, norm_bias, out, statistics, running_mean, running_variance, steps, rows, epsilon,
    momentum, WIDTH: tl.constexpr, ACTIVATION: tl.constexpr, AT_ONCE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Batch normalization (Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167) and activation.

    A program takes `BLOCK` columns, and all rows in tiles of `AT_ONCE`. `statistics` is `(2, WIDTH)`.
    """
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    part = tl.arange(0, AT_ONCE)
    offset = tl.load(bias + column, mask=inside, other=0)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, rows, AT_ONCE):
        at, there = _tile(start + part, rows, column, WIDTH)
        value = tl.load(product + at, mask=there, other=0).to(tl.float32) + offset[None, :]
        total += tl.sum(tl.where(there, value, 0.0), 0)
    mean = total / rows
    squares = tl.zeros([BLOCK], tl.float32)
    for start in range(0, rows, AT_ONCE):
        at, there = _tile(start + part, rows, column, WIDTH)
        value = tl.load(product + at, mask=there, other=0).to(tl.float32) + offset[None, :]
        centred = tl.where(there, value - mean[None, :], 0.0)
        squares += tl.sum(centred * centred, 0)
    scale = 1.0 / tl.sqrt(squares / rows + epsilon)
    tl.store(statistics + column, mean, mask=inside)
    tl.store(statistics + WIDTH + column, scale, mask=inside)
    known = tl.load(running_mean + column, mask=inside, other=0)
    tl.store(running_mean + column, known + momentum * (mean - known), mask=inside)
    known = tl.load(running_variance + column, mask=inside, other=0)
    unbiased = squares / tl.maximum(rows - 1, 1)
    tl.store(running_variance + column, known + momentum * (unbiased - known), mask=inside)
    if tl.program_id(0) == 0:
        tl.store(steps, tl.load(steps) + 1)
    factor = scale * tl.load(norm_weight + column, mask=inside, other=0)
    moved = tl.load(norm_bias + column, mask=inside, other=0)
    for start in range(0, rows, AT_ONCE):
        at, there = _tile(start + part, rows, column, WIDTH)
        value = tl.load(product + at, mask=there, other=0).to(tl.float32) + offset[None, :]
        value, _ = _activated((value - mean[None, :]) * factor[None, :] + moved[None, :], ACTIVATION)
        tl.store(out + at, value.to(out.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=ANY_BATCH)
def batch_backward(
    product, bias, norm_weight, norm_bias, gradient, statistics, to_norm_weight, to_norm_bias, rows,
    WIDTH: tl.constexpr, ACTIVATION: tl.constexpr, AT_ONCE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """As `hidden_backward`. The gradient of the product's bias is 0, as subtracting the mean removes the bias."""
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = column < WIDTH
    part = tl.arange(0, AT_ONCE)
    mean = tl.load(statistics + column, mask=inside, other=0) - tl.load(bias + column, mask=inside, other=0)
    scale = tl.load(statistics + WIDTH + column, mask=inside, other=0)
    factor = tl.load(norm_weight + column, mask=inside, other=0)
    moved = tl.load(norm_bias + column, mask=inside, other=0)
    norm_weight_sum = tl.zeros([BLOCK], tl.float32)
    norm_bias_sum = tl.zeros([BLOCK], tl.float32)
    for start in range(0, rows, AT_ONCE):
        at, there = _tile(start + part, rows, column, WIDTH)
        x = (tl.load(product + at, mask=there, other=0).to(tl.float32) - mean[None, :]) * scale[None, :]
        _, slope = _activated(x * factor[None, :] + moved[None, :], ACTIVATION)
        slope *= tl.load(gradient + at, mask=there, other=0).to(tl.float32)  # 0 where there is no row
        norm_bias_sum += tl.sum(slope, 0)
        norm_weight_sum += tl.sum(slope * x, 0)
    tl.store(to_norm_weight + column, norm_weight_sum, mask=inside)
    tl.store(to_norm_bias + column, norm_bias_sum, mask=inside)
    for start in range(0, rows, AT_ONCE):
        at, there = _tile(start + part, rows, column, WIDTH)
        x = (tl.load(product + at, mask=there, other=0).to(tl.float32) - mean[None, :]) * scale[None, :]
        _, slope = _activated(x * factor[None, :] + moved[None, :], ACTIVATION)
        slope *= tl.load(gradient + at, mask=there, other=0).to(tl.float32)
        slope = (slope - (norm_bias_sum[None, :] + x * norm_weight_sum[None, :]) / rows) * (factor * scale)[None, :]
        tl.store(gradient + at, slope.to(gradient.dtype.element_ty), mask=there)
