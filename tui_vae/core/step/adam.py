"""Adam on one flat vector of parameters: one kernel per step (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980).

It calls the kernel that torch.optim's fused Adam calls, with the same results. It does without the bookkeeping for
groups, hooks and schedulers, which on a CPU takes a fiftieth of a step. The learning rate may be a tensor on the
device, so that a captured CUDA graph sees it change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's decay rates of both moments and its ε, without units: the paper's values, and torch.optim's."""


class FlatAdam:
    """Updates the vector `parameters`, `(P,)`, with its `.grad`. With `weight_decay` it is AdamW (https://arxiv.org/abs/1711.05101)."""

    def __init__(self, parameters: nn.Parameter, weight_decay: float = 0.0) -> None:
        self._values = parameters.detach()
        self._parameters = parameters
        self.weight_decay = weight_decay
        self._kernel = torch._fused_adamw_ if weight_decay else torch._fused_adam_
        self.step_count = torch.zeros((), device=parameters.device)
        self.mean, self.square = torch.zeros_like(self._values), torch.zeros_like(self._values)

    @torch.no_grad()
    def step(self, lr: float | Tensor) -> None:
        """Update the parameters, with `lr` a number or a tensor without dimensions on their device."""
        gradient = self._parameters.grad
        assert gradient is not None
        self.step_count.add_(1)
        self._kernel(
            [self._values], [gradient], [self.mean], [self.square], [], [self.step_count], lr=lr, beta1=BETAS[0],
            beta2=BETAS[1], weight_decay=self.weight_decay, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """The state, under the names that torch.optim uses: the count of steps `()`, both moments as `parameters`."""
        return {"step": self.step_count, "exp_avg": self.mean, "exp_avg_sq": self.square}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Copy the state of `tensors()` into the present tensors, which a captured CUDA graph goes on using.

        Raises:
            KeyError, RuntimeError: it is the state of another vector.
        """
        for name, mine in self.tensors().items():
            mine.copy_(tensors[name])
