"""Compile the GPU's kernels as the default network launches them, without a GPU; print a line for each.

    python scripts/compile_gpu_kernels.py 80 90

The numbers are compute capabilities. Triton's compiler may refuse what its interpreter runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tui_vae.core.step import triton_kernels as kernels
from tui_vae.core.step.fused_step import ACTIVATION_NAMES, BERNOULLI, OUTPUT_NAMES
from tui_vae.core.step.gpu import warps_for
from tui_vae.core.step.gpu_muon import DEPTH, PLANES, TILES, X_PLANES

Settings = dict[str, Any]

ACTIVATIONS = list(ACTIVATION_NAMES.values())
OUTPUTS = [*OUTPUT_NAMES.values(), BERNOULLI]

POINTERS = {
    "images": "*u8",
    "places": "*i32",
    "is_matrix": "*i8",
    "steps": "*i64",
    "figures": "*fp64",
    "blocks": "*i64",
}
BF16 = {
    "x_bf16",
    "product",
    "out",
    "gradient",
    "z",
    "to_z",
    "to_product",
    "bfloat16_gradient",
    "bfloat16_copy",
    "ahead",
    "grams",
    "factors",
    "scaled",
    "left",
    "right",
    "other_left",
    "other_right",
    "other_out",
    "products",
}
NUMBERS = {"count": "i32", "rows": "i32", "programs": "i32", "sums": "i32", "epsilon": "fp32", "free_bits": "fp32",
           "momentum": "fp32", "weight_decay": "fp32",
           "size": "i32", "a": "fp32", "b": "fp32", "c": "fp32"}  # fmt: skip


def launches() -> Iterator[tuple[Any, Settings, dict[str, str]]]:
    """Kernels, their settings, and the types of arguments that have another type in other kernels."""
    yield kernels.normalize, {"BF16": True, "BLOCK": 1024}, {}
    for norm in (True, False):
        for activation in ACTIVATIONS:
            hidden = {"WIDTH": 512, "NORM": norm, "ACTIVATION": activation, "BLOCK": 512}
            yield kernels.hidden_forward, hidden, {}
            yield kernels.hidden_backward, hidden | {"ROWS": 2}, {}
    for activation in ACTIVATIONS:
        over_images = {"WIDTH": 512, "ACTIVATION": activation, "AT_ONCE": 64, "BLOCK": 16}
        yield kernels.batch_forward, over_images, {}
        yield kernels.batch_backward, over_images, {}
    latent = {"WIDTH": 32, "BLOCK": 32}
    yield kernels.latent_forward, latent | {"ROWS": 2}, {}
    for more in (True, False):
        yield kernels.latent_backward, latent | {"ROWS": 2, "MORE": more}, {"kl": "*fp64"}
    for output in OUTPUTS:
        image = {"WIDTH": 784, "OUTPUT": output, "BLOCK": 1024}
        yield kernels.output_forward, image, {}
        yield kernels.output_backward, image | {"ROWS": 2}, {}
    colour = {"WIDTH": 64 * 64 * 3, "OUTPUT": "tanh", "BLOCK": 16384}
    yield kernels.output_forward, colour, {}
    yield kernels.output_backward, colour | {"ROWS": 2}, {}
    for sigma in (True, False):
        yield kernels.compute_loss, latent | {"PIXELS": 784, "SIGMA": sigma}, {"kl": "*fp64"}
    yield kernels.add_up, {"AT_ONCE": 128, "BLOCK": 32}, {"gradient": "*fp32"}
    betas = {"BETA1": 0.9, "BETA2": 0.999}
    yield kernels.rates, betas, {}
    adam = betas | {"EPSILON": 1e-8, "GRAIN": 16, "BLOCK": 1024}
    yield kernels.adam, adam | {"BF16": True}, {"gradient": "*fp32"}
    for bfloat16 in (True, False):
        count = {"X_PLANES": X_PLANES[bfloat16]}
        tile = {"ALIGNED": 8, "TILE": TILES[bfloat16], "DEPTH": DEPTH}
        planes = tile | {"PLANES": PLANES[bfloat16]}
        parts = {"of_matrices": "*bf16" if bfloat16 else "*fp32", "gradient": "*fp32"}
        yield kernels.muon_prepare, adam | {"MOMENTUM": 0.95, "PLANES": X_PLANES[bfloat16]}, parts
        yield kernels.muon_gram, planes | count, {}
        for first in (True, False):
            yield kernels.muon_polynomial, planes | {"SAFETY": 1.01, "TINY": 1e-7, "FIRST": first}, {}
        yield kernels.muon_multiply, planes, {}
        yield kernels.muon_update, tile | count | {"BF16": bfloat16}, {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capabilities", metavar="CAPABILITY", type=int, nargs="+")
    for capability in parser.parse_args().capabilities:
        for kernel, settings, types in launches():
            known = POINTERS | NUMBERS | dict.fromkeys(BF16, "*bf16") | types | dict.fromkeys(settings, "constexpr")
            source = ASTSource(
                fn=kernel, signature={name: known.get(name, "*fp32") for name in kernel.arg_names},
                constexprs={(kernel.arg_names.index(name),): value for name, value in settings.items()},
            )  # fmt: skip
            options = {"num_warps": warps_for(settings.get("BLOCK", 1))} if "WIDTH" in settings else {}
            compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
            print(capability, kernel.__name__, len(compiled.asm["cubin"]))


if __name__ == "__main__":
    main()
