"""The kernels between the matrix products of a training step on a GPU: the mathematics of c/kernels.h, in Triton.

Tillet, Kung & Cox 2019, "Triton: an intermediate language and compiler for tiled neural network computations",
https://doi.org/10.1145/3315508.3329973.

Rows are images. The tensors between a kernel and a product are float32 or bfloat16; all arithmetic is float32. A row
is one tile. `to_` is a gradient: `to_z` is the gradient of the loss with respect to z. Sums over images are made in two
steps without atomics, so that a result is always the same to the last bit: a program adds up its own few rows into its
row of `partials`, and `add_up` adds those rows.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# Triton's compiler reads these functions, and has its own types.

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from tui_vae.core.step.triton_hidden import ANY_BATCH, batch_backward, batch_forward, hidden_backward, hidden_forward
from tui_vae.core.step.triton_muon import muon_gram, muon_multiply, muon_polynomial, muon_prepare, muon_update

__all__ = [
    "adam", "add_up", "batch_backward", "batch_forward", "block_of", "compute_loss", "hidden_backward",
    "hidden_forward", "latent_backward", "latent_forward", "muon_gram", "muon_multiply", "muon_polynomial",
    "muon_prepare", "muon_update", "normalize", "output_backward", "output_forward", "parts_of", "rates",
]  # fmt: skip

WHITE = tl.constexpr(0.999999)
"""x on [-1, 1] above which a pixel is white, 1: the next byte, 254, is 0.992."""


LEAST_SQUARE = tl.constexpr(4 / (12 * 255**2))
"""`LEAST_SQUARE` of objectives.py: recon / pixels counts as no less in `sigma`."""


@triton.jit
def normalize(images, x, x_bf16, count, BF16: tl.constexpr, BLOCK: tl.constexpr):
    """uint8 → x in [-1, 1], both `(count,)`; also in bfloat16, if `BF16`."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    value = tl.load(images + at, mask=inside, other=0).to(tl.float32) * (2.0 / 255.0) - 1.0
    tl.store(x + at, value, mask=inside)
    if BF16:
        tl.store(x_bf16 + at, value.to(x_bf16.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=ANY_BATCH)
def latent_forward(
    product, bias, noise, z, mu, sigma, kl, rows, WIDTH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """z = μ + σ·ε, `(rows, WIDTH)`; twice the KL of each dimension, summed over a program's rows, to its row of `kl`.

    `product` is `(rows, 2·WIDTH)`: μ and log σ². KL = ½·(μ² + σ² - log σ² - 1) (Kingma & Welling 2014, appendix B).
    """
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    mu_bias = tl.load(bias + column, mask=inside, other=0)
    logvar_bias = tl.load(bias + WIDTH + column, mask=inside, other=0)
    total = tl.zeros([BLOCK], tl.float32)
    for number in range(ROWS):
        row = program * ROWS + number
        there = inside & (row < rows)
        at = row * WIDTH + column
        head = 2 * row * WIDTH + column
        mean = tl.load(product + head, mask=there, other=0).to(tl.float32) + mu_bias
        logvar = tl.load(product + head + WIDTH, mask=there, other=0).to(tl.float32) + logvar_bias
        deviation = tl.exp(0.5 * logvar)
        total += tl.where(there, mean * mean + (deviation * deviation - logvar - 1.0), 0.0)
        sample = mean + deviation * tl.load(noise + at, mask=there, other=0)
        tl.store(mu + at, mean, mask=there)
        tl.store(sigma + at, deviation, mask=there)
        tl.store(z + at, sample.to(z.dtype.element_ty), mask=there)
    tl.store(kl + program * WIDTH + column, total, mask=inside)


@triton.jit(do_not_specialize=ANY_BATCH)
def latent_backward(
    to_z, noise, mu, sigma, kl, weights, more_to_mu, more_to_logvar, to_product, to_bias, rows, sums, free_bits,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, MORE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradient of the head's product, from that of z and from the KL.

    ∂KL/∂μ = μ and ∂KL/∂log σ² = ½(σ² - 1), times the KL's weight, which is 0 for a dimension below its free bits. If
    `MORE`, another term of the loss has gradients of its own, `(rows, WIDTH)`.
    """
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    paid = tl.load(weights + 1)
    paid = tl.where((free_bits > 0) & (tl.load(kl + column, mask=inside, other=0) <= free_bits), 0.0, paid)
    mu_sum = tl.zeros([BLOCK], tl.float32)
    logvar_sum = tl.zeros([BLOCK], tl.float32)
    for number in range(ROWS):
        row = program * ROWS + number
        there = inside & (row < rows)
        at = row * WIDTH + column
        head = 2 * row * WIDTH + column
        slope = tl.load(to_z + at, mask=there, other=0).to(tl.float32)
        deviation = tl.load(sigma + at, mask=there, other=0)
        to_mu = slope + paid * tl.load(mu + at, mask=there, other=0)
        to_logvar = slope * deviation * tl.load(noise + at, mask=there, other=0)
        to_logvar = 0.5 * (to_logvar + paid * (deviation * deviation - 1.0))
        if MORE:
            to_mu += tl.load(more_to_mu + at, mask=there, other=0)
            to_logvar += tl.load(more_to_logvar + at, mask=there, other=0)
        mu_sum += tl.where(there, to_mu, 0.0)
        logvar_sum += tl.where(there, to_logvar, 0.0)
        tl.store(to_product + head, to_mu.to(to_product.dtype.element_ty), mask=there)
        tl.store(to_product + head + WIDTH, to_logvar.to(to_product.dtype.element_ty), mask=there)
    tl.store(to_bias + program * sums + column, mu_sum, mask=inside)
    tl.store(to_bias + program * sums + WIDTH + column, logvar_sum, mask=inside)


@triton.jit
def _decoded(value, OUTPUT: tl.constexpr):
    """x̂ and its derivative by the last layer's value; `OUTPUT`: a key of `OUTPUTS`, or "bernoulli" (fused_step.py)."""
    if OUTPUT == "linear":
        decoded = value
        derivative = tl.full(value.shape, 1.0, tl.float32)
    elif OUTPUT == "sigmoid":
        decoded = tl.sigmoid(value)
        derivative = decoded * (1.0 - decoded)
    elif OUTPUT == "tanh":
        decoded = 2.0 * tl.sigmoid(2.0 * value) - 1.0
        derivative = 1.0 - decoded * decoded
    else:
        tl.static_assert(OUTPUT == "logits" or OUTPUT == "bernoulli", "an output without a kernel")
        decoded = 2.0 * tl.sigmoid(value) - 1.0
        derivative = 0.5 * (1.0 - decoded * decoded)
    return decoded, derivative


@triton.jit
def output_forward(
    product, bias, x, distances, WIDTH: tl.constexpr, OUTPUT: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """recon, distortion and legacy accuracy of each image, to `distances` `(rows, 3)`; a program takes an image."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    at = row * WIDTH + column
    value = tl.load(product + at, mask=inside, other=0).to(tl.float32) + tl.load(bias + column, mask=inside, other=0)
    target = tl.load(x + at, mask=inside, other=0)
    decoded, _ = _decoded(value, OUTPUT)
    error = tl.where(inside, decoded - target, 0.0)
    recon = tl.sum(error * error, 0)
    distortion = recon
    if OUTPUT == "bernoulli":  # -p·ln p̂ - (1-p)·ln(1-p̂), from the logits
        entropy = tl.maximum(value, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(value))) - 0.5 * (target + 1.0) * value
        distortion = tl.sum(tl.where(inside, entropy, 0.0), 0)
    white = tl.where(inside & (decoded > 0.5) & (target > WHITE), 1.0, 0.0)
    tl.store(distances + 3 * row, recon)
    tl.store(distances + 3 * row + 1, distortion)
    tl.store(distances + 3 * row + 2, tl.sum(white, 0))


@triton.jit(do_not_specialize=ANY_BATCH)
def output_backward(
    product, bias, x, weights, to_bias, rows, sums,
    WIDTH: tl.constexpr, OUTPUT: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The last product's gradient, in its place; `ROWS` rows a program."""
    program = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    offset = tl.load(bias + column, mask=inside, other=0)
    weight = tl.load(weights)
    total = tl.zeros([BLOCK], tl.float32)
    for number in range(ROWS):
        row = program * ROWS + number
        there = inside & (row < rows)
        at = row * WIDTH + column
        value = tl.load(product + at, mask=there, other=0).to(tl.float32) + offset
        decoded, derivative = _decoded(value, OUTPUT)
        slope = decoded - tl.load(x + at, mask=there, other=0)
        slope = 0.5 * slope if OUTPUT == "bernoulli" else 2.0 * slope * derivative
        slope = tl.where(there, slope * weight, 0.0)
        total += slope
        tl.store(product + at, slope.to(product.dtype.element_ty), mask=there)
    tl.store(to_bias + program * sums + column, total, mask=inside)


@triton.jit(do_not_specialize=ANY_BATCH)
def compute_loss(
    distances, kl_sums, beta, figures, weights, kl, rows, programs, free_bits,
    PIXELS: tl.constexpr, WIDTH: tl.constexpr, SIGMA: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The step's `figures` `(4,)`; the `weights` `(2,)` of an image's distortion and KL in the loss. One program."""
    images = tl.arange(0, 1024)
    recon_sums = tl.zeros([1024], tl.float64)
    distortion_sums = tl.zeros([1024], tl.float64)
    white_sums = tl.zeros([1024], tl.float64)
    for start in range(0, rows, 1024):
        row = start + images
        recon_sums += tl.load(distances + 3 * row, mask=row < rows, other=0).to(tl.float64)
        distortion_sums += tl.load(distances + 3 * row + 1, mask=row < rows, other=0).to(tl.float64)
        white_sums += tl.load(distances + 3 * row + 2, mask=row < rows, other=0).to(tl.float64)
    recon = tl.sum(recon_sums, 0) / rows
    distortion = tl.sum(distortion_sums, 0) / rows

    AT_ONCE: tl.constexpr = 4096 // BLOCK if BLOCK < 4096 else 1
    column = tl.arange(0, BLOCK)
    part = tl.arange(0, AT_ONCE)
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(0, programs, AT_ONCE):
        there = (start + part < programs)[:, None] & (column < WIDTH)[None, :]
        at = (start + part)[:, None] * WIDTH + column[None, :]
        total += tl.sum(tl.load(kl_sums + at, mask=there, other=0).to(tl.float64), 0)
    dimensions = total * 0.5 / rows
    tl.store(kl + column, dimensions, mask=column < WIDTH)
    charged = (free_bits > 0) & (column < WIDTH) & (dimensions < free_bits)
    paid = tl.where(charged, free_bits, dimensions)

    factor = tl.load(beta).to(tl.float64)
    loss = factor * tl.sum(paid, 0)
    slope = tl.full((), 1.0, tl.float64)
    if SIGMA:
        square = distortion / PIXELS
        least = square < LEAST_SQUARE  # not of NaN
        loss += 0.5 * PIXELS * tl.log(tl.where(least, LEAST_SQUARE, square))
        slope = tl.where(least, 0.0, 0.5 * PIXELS / tl.where(least, 1.0, distortion))
    else:
        loss += distortion
    tl.store(figures, loss)
    tl.store(figures + 1, recon)
    tl.store(figures + 2, tl.sum(dimensions, 0))
    tl.store(figures + 3, tl.sum(white_sums, 0) / rows / PIXELS)
    tl.store(weights, (slope / rows).to(tl.float32))
    tl.store(weights + 1, (factor / rows).to(tl.float32))


@triton.jit(do_not_specialize=ANY_BATCH)
def add_up(partials, places, gradient, programs, sums, AT_ONCE: tl.constexpr, BLOCK: tl.constexpr):
    """Σ over programs of `partials` `(programs, sums)`, each column to its place in the gradient."""
    column = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    part = tl.arange(0, AT_ONCE)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, programs, AT_ONCE):
        there = (start + part < programs)[:, None] & (column < sums)[None, :]
        at = (start + part).to(tl.int64)[:, None] * sums + column[None, :]
        total += tl.sum(tl.load(partials + at, mask=there, other=0), 0)
    place = tl.load(places + column, mask=column < sums, other=0)
    tl.store(gradient + place, total, mask=column < sums)


@triton.jit
def rates(step_count, lr, found, weight_decay, BETA1: tl.constexpr, BETA2: tl.constexpr):
    """Count a step; compute Adam's factors that all parameters share. Once, in float64, which GPUs are slow at."""
    steps = tl.load(step_count) + 1.0
    tl.store(step_count, steps)
    steps = steps.to(tl.float64)
    rate = tl.load(lr).to(tl.float64)
    tl.store(found, (1.0 - rate * weight_decay).to(tl.float32))
    tl.store(found + 1, (rate / (1.0 - tl.exp(steps * tl.log(tl.full((), BETA1, tl.float64))))).to(tl.float32))
    root = 1.0 / tl.sqrt(1.0 - tl.exp(steps * tl.log(tl.full((), BETA2, tl.float64))))
    tl.store(found + 2, root.to(tl.float32))


@triton.jit
def adam(
    values, gradient, bfloat16_gradient, mean, square, bfloat16_copy, is_matrix, rates, count,
    BETA1: tl.constexpr, BETA2: tl.constexpr, EPSILON: tl.constexpr, BF16: tl.constexpr, GRAIN: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980), weight decay of https://arxiv.org/abs/1711.05101.

    `is_matrix` has a number for every `GRAIN` values: 1 if, where `BF16`, their gradient is in `bfloat16_gradient` and
    their new values also go to `bfloat16_copy`.
    """
    keep, rate, root = tl.load(rates), tl.load(rates + 1), tl.load(rates + 2)
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    slope = tl.load(gradient + at, mask=inside, other=0)
    if BF16:
        from_matrix = tl.load(is_matrix + at // GRAIN, mask=inside, other=0) != 0
        slope = tl.where(from_matrix, tl.load(bfloat16_gradient + at, mask=from_matrix, other=0).to(tl.float32), slope)
    first = BETA1 * tl.load(mean + at, mask=inside, other=0) + (1.0 - BETA1) * slope
    second = BETA2 * tl.load(square + at, mask=inside, other=0) + (1.0 - BETA2) * slope * slope
    value = tl.load(values + at, mask=inside, other=0) * keep - rate * first / (tl.sqrt(second) * root + EPSILON)
    tl.store(mean + at, first, mask=inside)
    tl.store(square + at, second, mask=inside)
    tl.store(values + at, value, mask=inside)
    if BF16:
        tl.store(bfloat16_copy + at, value.to(bfloat16_copy.dtype.element_ty), mask=from_matrix)


def block_of(width: int) -> int:
    """The columns of the tile that holds `width` columns: the next power of 2."""
    return int(triton.next_power_of_2(width))


def parts_of(count: int, block: int) -> tuple[Any, ...]:
    """A grid of programs for `count` numbers, `block` each."""
    return (triton.cdiv(count, block),)
