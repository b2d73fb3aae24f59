"""All parameters of a model as one vector, so that an optimizer's step is one kernel instead of one a parameter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ALIGNMENT = 16  # numbers: 64 bytes, a cache line


def flatten_parameters(model: nn.Module) -> nn.Parameter:
    """Make every parameter of `model`, and its gradient, a view of one vector and its gradient. Returns that vector.

    Values do not change. Between two parameters there may be padding, always 0. Frozen parameters are left out. The
    others must be of one type and on one device, and the model must not be moved afterwards.
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


def half_twin(model: nn.Module, flat: nn.Parameter, dtype: torch.dtype) -> tuple[Tensor, dict[Tensor, Tensor]]:
    """A copy of `flat`, of whose parts `model`'s parameters are views, in `dtype`, and each parameter's view of it.

    `twin.copy_(flat)` renews them all.
    """
    twin = flat.detach().to(dtype)
    views: dict[Tensor, Tensor] = {}
    for parameter in model.parameters():
        views[parameter] = part_of(twin, parameter)
    return twin, views


def part_of(vector: Tensor, parameter: Tensor) -> Tensor:
    """Where in `vector`, which is laid out as the parameters are, this one's counterpart lies."""
    start = parameter.storage_offset()
    return vector[start : start + parameter.numel()].view_as(parameter)
