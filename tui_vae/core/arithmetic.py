"""The arithmetic that a run has recorded: PyTorch's switches for float32 products and convolutions, and its threads.

They belong to the process, and anybody may turn them: a user's own model often begins with
`torch.set_float32_matmul_precision("medium")`, after which a run that says float32 computes in bfloat16.
"""

from __future__ import annotations

import torch

PLACES = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Under `torch.backends`: what has a precision of its own for float32, on CUDA and on the CPU."""

EXACT = "ieee"
"""The value by which float32 is computed in float32."""


def set_arithmetic(threads: int) -> None:
    """Compute float32 in float32, on every device, in the same way every time, on so many CPU threads.

    `auto` and bfloat16 are decided elsewhere, by autocast or by the kernels: this is what float32 means. New tensors
    are float32 again, and on the CPU unless somebody says where.
    """
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)  # with a device named here, every call of PyTorch checks it
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    if hasattr(torch.backends, "fp32_precision"):  # torch 2.9 brought a second way, which the first does not overrule
        torch.backends.fp32_precision = EXACT
        for place in PLACES:
            backend, _, operation = place.partition(".")
            getattr(getattr(torch.backends, backend), operation).fp32_precision = EXACT
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
