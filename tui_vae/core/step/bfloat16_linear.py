"""A linear layer in bfloat16 as the GPU's kernels compute it, for autograd to compare them with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BFloat16Linear(nn.Module):
    """A linear layer that rounds where the kernels' products round.

    Compared with float32, rounding alone changes the sign of so many ReLUs' inputs that gradients differ by a tenth.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """x `(N, in)`, float32 → `(N, out)`, float32: a product of bfloat16 that is accumulated in float32."""
        return torch.mm(x.bfloat16(), self.weight.bfloat16().t()).float() + self.bias
