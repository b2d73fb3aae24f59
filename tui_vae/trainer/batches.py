"""Batches of training images on the device, from a training set that lies there or on the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from tui_vae.core.data.mapped import ReadAhead, nothing_ahead
from tui_vae.core.ranks import ALONE, Ranks, share_of
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step.load_kernels import Kernels, load_kernels

SHARE_OF_FREE = 0.5  # of the device's free memory; the rest is for the network, its gradients and other people


def fits(size: int, device: torch.device) -> bool:
    """Whether a training set of `size` bytes leaves the device room for everything else."""
    return device.type != "cuda" or size <= SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0]


class EpochOrders:
    """The order of the training images in each epoch; that of the next one can be drawn while the device works.

    Args:
        images: the training set.
        device: where its batches go.
    """

    def __init__(self, seed: int, images: Tensor, device: torch.device) -> None:
        self._seed, self._count = seed, len(images)
        self._copies = images.device.type == device.type == "cuda"
        self._device = device
        self._prepared: tuple[int, Tensor] | None = None

    def prepare(self, epoch: int) -> None:
        """Draw the order of an epoch, counted from 0, and have it copied to where the images lie."""
        order = epoch_order(self._seed, epoch, self._count)
        if self._copies:  # a copy of ordinary memory would wait for what the device does
            order = order.pin_memory().to(self._device, non_blocking=True)
        self._prepared = epoch, order

    def take(self, epoch: int) -> Tensor:
        """The order of an epoch, `(N,)` int64: see `epoch_order`."""
        if self._prepared is None or self._prepared[0] != epoch:
            self.prepare(epoch)
        assert self._prepared is not None
        order, self._prepared = self._prepared[1], None
        return order


def batches(
    images: Tensor, order: Tensor, size: int, device: torch.device, ahead: ReadAhead = nothing_ahead,
    ranks: Ranks = ALONE,
) -> Iterator[Tensor]:  # fmt: skip
    """The images `(N, …)` in the order of `order`, in batches of `size` (the last may be smaller), on `device`.

    Of each batch a rank gets its share, which may be none of a small batch.

    Images on a GPU are gathered there. Images on the host are gathered into one of two buffers; for a GPU these are
    pinned, and copied while it computes on the batch before. A batch stays valid while the next one is used. `ahead` is
    told the rows of each batch while the one before is used.
    """
    if not len(order):
        return  # torch.split would give one empty batch
    if images.device.type == device.type != "cpu":
        for chosen in _shares(order.to(device), size, ranks):
            yield images.index_select(0, chosen)
    elif device.type == "cuda":
        yield from _streamed(images, _shares(order, size, ranks), size, device, ahead)
    else:
        for batch in _gathered(images, _announced(_shares(order, size, ranks), ahead), min(size, len(order))):
            yield batch.to(device)


def _gathered(images: Tensor, parts: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """`images[part]` of images `(N, …)` on the host, by the kernels where they are, into one of two buffers in turn.

    New memory for each batch would have to be found page by page: half of what gathering one takes.

    Raises:
        IndexError: a place is not in [0, N).
    """
    kernels = load_kernels() if images.is_contiguous() else Kernels()
    buffers = [images.new_empty((size, *images.shape[1:])) for _ in range(2)]
    count, start, image, threads = len(images), images.data_ptr(), images[:1].nbytes, torch.get_num_threads()
    for number, part in enumerate(parts):
        batch = buffers[number % 2]
        if len(part) < size:
            batch = batch[: len(part)]
        if not kernels:
            torch.index_select(images, 0, part, out=batch)
        elif not kernels.library.gather_images(
            start, count, part.data_ptr(), batch.data_ptr(), len(part), image, threads
        ):
            raise IndexError(f"a place is not among the {count} images")
        yield batch


def _shares(order: Tensor, size: int, ranks: Ranks) -> Sequence[Tensor]:
    """A rank's indices of each batch."""
    whole = torch.split(order, size)
    return whole if ranks.world == 1 else [batch[share_of(ranks, len(batch))] for batch in whole]


def _announced(parts: Sequence[Tensor], ahead: ReadAhead) -> Iterator[Tensor]:
    """The parts, of each of which `ahead` is told before the one before is used."""
    if ahead is nothing_ahead:  # without making lists of all rows
        yield from parts
        return
    ahead(parts[0].tolist())
    for number, chosen in enumerate(parts):
        if number + 1 < len(parts):
            ahead(parts[number + 1].tolist())
        yield chosen


def _streamed(
    images: Tensor, parts: Sequence[Tensor], size: int, device: torch.device, ahead: ReadAhead
) -> Iterator[Tensor]:
    """As `batches`, from images on the host."""
    shape = (size, *images.shape[1:])
    host = [torch.empty(shape, dtype=images.dtype, pin_memory=True) for _ in range(2)]
    there = [torch.empty(shape, dtype=images.dtype, device=device) for _ in range(2)]
    copying = torch.cuda.Stream(device)
    copied = [torch.cuda.Event() for _ in range(2)]
    used = [torch.cuda.Event() for _ in range(2)]
    announced = _announced(parts, ahead)

    def copy(number: int) -> None:
        slot, chosen = number % 2, next(announced)
        copied[slot].synchronize()  # the host's buffer is free again: its copy was two batches ago
        torch.index_select(images, 0, chosen, out=host[slot][: len(chosen)])
        with torch.cuda.stream(copying):
            copying.wait_event(used[slot])
            there[slot][: len(chosen)].copy_(host[slot][: len(chosen)], non_blocking=True)
            copied[slot].record(copying)

    # The allocator may reuse memory whose previous tensor is still in use on the current stream.
    copying.wait_stream(torch.cuda.current_stream(device))
    copy(0)
    try:
        for number, chosen in enumerate(parts):
            torch.cuda.current_stream(device).wait_event(copied[number % 2])
            if number + 1 < len(parts):
                copy(number + 1)
            yield there[number % 2][: len(chosen)]
            used[number % 2].record(torch.cuda.current_stream(device))
    finally:
        torch.cuda.current_stream(device).wait_stream(copying)
