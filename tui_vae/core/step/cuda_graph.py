"""A step that is launched as a whole: recorded once into a CUDA graph, then replayed on the same buffers.

A step of a small network is a hundred kernels of a few microseconds. Launched one by one, each costs Python and the
driver more than the device; a graph's launch costs about as much as one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tui_vae.errors import first_line

WARM_UP = 3  # steps before a recording, so that libraries have chosen their kernels and made their workspaces
SHAPES = 2  # that are recorded: the usual batch's, and that of an epoch's last

Body = Callable[[Tensor, Tensor, Tensor], None]


class Recorder(Protocol):
    """Records what `body` launches, without running it, and returns what runs it again."""

    def __call__(self, body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]: ...


def cuda_graph(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record into a CUDA graph, on the current stream, which must be another than the device's default one.

    `generator` goes on in every replay as it would in a step launched by hand.

    Raises:
        RuntimeError: `body` does something that cannot be recorded, such as waiting for the device.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    # Only what this thread does is of interest: others may ask the device how much memory it has meanwhile.
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        body()
    return graph.replay


def by_hand(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """The stand-in where there is no CUDA: replaying is running again, on the same buffers."""
    return body


@dataclass
class _Recording:
    """What is recorded for batches of one shape, once there have been enough of them; `images` is what it reads."""

    images: Tensor
    warm: int = 0
    replay: Callable[[], None] | None = None


class CapturedStep:
    """Calls `body(images, lr, beta)` by replaying its recording for batches of that shape, after some warm steps.

    lr and β are tensors on the device, which the recording reads, so that changing them needs no new one.

    Args:
        fresh_generator: called after a recording that failed, which may leave the generator unusable.
        warn: called once, with the reason, where recording is not possible; every step is then launched by hand.
    """

    def __init__(
        self, body: Body, device: torch.device, generator: Callable[[], torch.Generator],
        fresh_generator: Callable[[Tensor], None], warn: Callable[[str], None], record: Recorder = cuda_graph,
    ) -> None:  # fmt: skip
        self._body = body
        self._device = device
        self._generator, self._fresh_generator = generator, fresh_generator
        self._warn = warn
        self._record: Recorder | None = record
        self._lr, self._beta = torch.zeros((), device=device), torch.zeros((), device=device)
        self._last: tuple[float | None, float | None] = (None, None)
        self._recordings: dict[torch.Size, _Recording] = {}
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, images: Tensor, lr: float, beta: float) -> None:
        for place, was, now in zip((self._lr, self._beta), self._last, (lr, beta), strict=True):
            if now != was:
                place.fill_(now)
        self._last = lr, beta
        recording = self._recordings.get(images.shape)
        if recording is None and len(self._recordings) < SHAPES:
            recording = self._recordings[images.shape] = _Recording(torch.empty_like(images))
        if recording is None or self._record is None:
            self._body(images, self._lr, self._beta)
            return
        if recording.replay is None and recording.warm >= WARM_UP:
            recording.replay = self._recorded(recording.images)
        if recording.replay is None:
            recording.warm += 1
            with self._aside():
                self._body(images, self._lr, self._beta)
            return
        recording.images.copy_(images)
        recording.replay()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """On the stream that is recorded: the default one cannot be, and libraries' workspaces are a stream's own."""
        if self._side is None:
            yield
            return
        usual = torch.cuda.current_stream(self._device)
        self._side.wait_stream(usual)
        with torch.cuda.stream(self._side):  # also undoes what a recording that fails leaves behind
            yield
        usual.wait_stream(self._side)

    def _recorded(self, images: Tensor) -> Callable[[], None] | None:
        assert self._record is not None
        noise = self._generator().get_state()
        try:
            with self._aside():
                return self._record(lambda: self._body(images, self._lr, self._beta), self._generator())
        except RuntimeError as error:
            self._record = None
            self._fresh_generator(noise)
            self._warn(first_line(error))
            return None
