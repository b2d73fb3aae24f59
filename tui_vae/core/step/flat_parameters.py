"""All parameters of a model in one vector, so that an optimizer's step is one kernel instead of one per parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ALIGNMENT = 16
"""Elements (float32): each parameter begins at a multiple of this, 64 bytes, which is a CPU's cache line."""


def flatten_parameters(model: nn.Module) -> nn.Parameter:
    """Make each parameter of `model` a view of one vector, its gradient a view of that one's; return the vector `(P,)`.

    Values do not change. Between two parameters there may be padding, which is always 0. Frozen parameters stay out.
    The others must have one type and one device, and the model must not be moved afterwards.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    starts, end = [], 0
    for parameter in parameters:
        starts.append(end)
        end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
    flat = nn.Parameter(torch.zeros(end, dtype=parameters[0].dtype, device=parameters[0].device))
    flat.grad = torch.zeros_like(flat)

    def view(vector: Tensor, start: int, like: Tensor) -> Tensor:
        return vector[start : start + like.numel()].view_as(like)

    for start, parameter in zip(starts, parameters, strict=True):
        values = view(flat.data, start, parameter)
        values.copy_(parameter.data)
        parameter.data = values
        parameter.grad = view(flat.grad, start, parameter)
    return flat


def part_of(vector: Tensor, parameter: Tensor) -> Tensor:
    """The slice of `vector` `(P,)` at `parameter`'s offset in the vector of all parameters, as a view of its shape."""
    start = parameter.storage_offset()
    return vector[start : start + parameter.numel()].view_as(parameter)
