"""Images of no meaning, as data sets hold them."""

import torch

SHAPE = (28, 28)


def pictures(count: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    size = (count, *shape[-2:], *shape[:-2])  # as data are, the colours of a pixel side by side
    return torch.randint(0, 256, size, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
