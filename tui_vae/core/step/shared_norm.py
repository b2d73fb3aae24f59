"""Batch normalization over the images of all ranks, as one device has it; also on CPUs, unlike torch.nn.SyncBatchNorm.

A layer stays what it is, with its parameters, its buffers and their names; only its forward pass while it trains is
another one.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tui_vae.core.ranks import Ranks


def share_norms(model: nn.Module, ranks: Ranks) -> bool:
    """Have every batch normalization in `model` take its statistics from all ranks; whether there is one."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        cast(Any, norm).forward = partial(_normalize, norm, ranks)
    return bool(norms)


class _Sum(torch.autograd.Function):
    """The sum over all ranks. Each rank's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, values: Tensor, ranks: Ranks) -> Tensor:
        context.ranks = ranks
        total = values.clone()
        ranks.add_up(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        context.ranks.add_up(total)
        return total, None


def _normalize(norm: _BatchNorm, ranks: Ranks, x: Tensor) -> Tensor:
    """x `(N, channels, …)` → the same shape; N may be 0 where other ranks have images (Ioffe & Szegedy 2015)."""
    if not norm.training:
        plain: Tensor = type(norm).forward(norm, x)
        return plain
    dims, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
    values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    ones = values.new_full((1,), x.numel() // x.shape[1])
    sums: Tensor = _Sum.apply(torch.cat([values.sum(dims), ones]), ranks)
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centred = values - mean.view(shape)
    variance: Tensor = _Sum.apply(centred.square().sum(dims), ranks) / count
    _remember(norm, mean.detach(), variance.detach() * count / (count - 1))
    out = centred * torch.rsqrt(variance + norm.eps).view(shape)
    if norm.affine:
        out = out * norm.weight.view(shape) + norm.bias.view(shape)
    result: Tensor = out.to(x.dtype)
    return result


@torch.no_grad()
def _remember(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, `(channels,)`, as torch.nn's layers do."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    share = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), float(share))
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), float(share))
