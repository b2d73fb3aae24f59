"""Steps that are recorded once into a CUDA graph, then launched as a whole, on the same buffers.

A step of a small network is a hundred kernels of a few microseconds. Launched one by one, each costs Python and the
driver more time than the device; the launch of a graph costs about as much as that of one kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tui_vae.errors import first_line

WARM_UP = 3
"""Steps before a recording, in which libraries choose their kernels and allocate their workspaces."""

SHAPES = 2
"""Shapes of batches that are recorded: the usual one, and that of an epoch's last batch."""

Body = Callable[[Tensor, Tensor, Tensor], None]


class Recorder(Protocol):
    """Records what `body` launches, without running it; returns a function that runs it again."""

    def __call__(self, body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]: ...


def record_cuda_graph(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record into a CUDA graph, on the current stream, which must not be the device's default stream.

    Every replay advances `generator` as running `body` would.

    Raises:
        RuntimeError: `body` does something that cannot be recorded, such as waiting for the device.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    # "thread_local": other threads may meanwhile ask the device how much memory it has, which a recording forbids.
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream(), capture_error_mode="thread_local"):
        body()
    return graph.replay


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """On this stream, after what is under way on the current one, which then waits for it; None: on the current one.

    A recording and the steps before it need a stream of their own: the default one cannot be recorded, and libraries
    keep workspaces for each stream.
    """
    if stream is None:
        yield
        return
    usual = torch.cuda.current_stream(stream.device)
    stream.wait_stream(usual)
    with torch.cuda.stream(stream):  # its end also leaves the capture mode of a recording that failed
        yield
    usual.wait_stream(stream)


@dataclass
class _Recording:
    """The recording for batches of one shape, which reads `images`; `warm` counts the steps before it."""

    images: Tensor
    warm: int = 0
    replay: Callable[[], None] | None = None


class CudaGraphStep:
    """Calls `body(images, lr, beta)`: after some warm steps it replays the recording for batches of that shape.

    The recording reads lr and β from tensors on the device, so that changing them needs no new recording.

    Args:
        generator: gives the generator that `body` draws from.
        replace_generator: called with the generator's state after a recording that failed, since that may leave the
            generator unusable.
        warn: called once, with the reason, if recording fails; every step is then launched kernel by kernel.
    """

    def __init__(
        self, body: Body, device: torch.device, generator: Callable[[], torch.Generator],
        replace_generator: Callable[[Tensor], None], warn: Callable[[str], None], record: Recorder,
    ) -> None:  # fmt: skip
        self._body = body
        self._device = device
        self._generator, self._replace_generator = generator, replace_generator
        self._warn = warn
        self._record: Recorder | None = record
        self._lr, self._beta = torch.zeros((), device=device), torch.zeros((), device=device)
        self._last: tuple[float | None, float | None] = (None, None)
        self._recordings: dict[torch.Size, _Recording] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, images: Tensor, lr: float, beta: float) -> None:
        """Do one step on images `(N, height, width)` on the device."""
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
            with on_stream(self._stream):
                self._body(images, self._lr, self._beta)
            return
        recording.images.copy_(images)
        recording.replay()

    def _recorded(self, images: Tensor) -> Callable[[], None] | None:
        """A function that replays a step on `images`; None if it cannot be recorded."""
        assert self._record is not None
        noise = self._generator().get_state()
        try:
            with on_stream(self._stream):
                return self._record(lambda: self._body(images, self._lr, self._beta), self._generator())
        except RuntimeError as error:
            self._record = None
            self._replace_generator(noise)
            self._warn(first_line(error))
            return None
