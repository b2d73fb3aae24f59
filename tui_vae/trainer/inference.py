"""Answers to whoever looks inside: reconstructions, errors, samples, from the newest weights.

Longer answers are generators that yield between batches, so that training and controls go on in between.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_vae.core.datasets import grey_levels
from tui_vae.core.latent import posterior_means, principal_plane
from tui_vae.core.metrics import reconstruct
from tui_vae.core.sampling import LatentGaussian, decode, gaussian_of, posterior
from tui_vae.runs import protocol
from tui_vae.trainer.server import Ticket
from tui_vae.trainer.workbench import Workbench

PIECE = 250  # images a step of a longer answer takes: some 5 to 10 ms of a CPU core with the default network
SLICE = 0.03  # seconds of longer answers between two training steps, after which shorter requests have their turn


def as_bytes(images: Tensor) -> bytes:
    """Float images in [0, 1] → uint8, row by row."""
    return (images * 255).round().to(torch.uint8).cpu().numpy().tobytes()


@contextmanager
def refusing(ticket: Ticket) -> Iterator[None]:
    """What PyTorch cannot do (no memory, no Gaussian fits a diverged encoder's NaN) ends the request, not the run."""
    try:
        yield
    except RuntimeError as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        ticket.answer(protocol.Failure(message=f"{type(ticket.request).__name__} failed: {why[0]}"))


def as_floats(values: Tensor) -> bytes:
    """Numbers → little-endian float32."""
    return values.cpu().numpy().astype("<f4").tobytes()


class Inference:
    """Answers inference requests of `bench`'s model. `where` tells epoch and step of the weights."""

    def __init__(self, bench: Workbench, where: Callable[[], tuple[int, int]], state: Callable[[], str]) -> None:
        self._bench = bench
        self._where = where
        self._state = state
        self._jobs: deque[tuple[Ticket, Generator[None, None, None]]] = deque()
        self._gaussian: tuple[int, LatentGaussian] | None = None

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def advance(self) -> None:
        """Work on the longer answers for a moment, in turn."""
        until = time.monotonic() + SLICE
        while self._jobs:
            ticket, job = self._jobs.popleft()
            with refusing(ticket):
                if next(job, self) is not self:
                    self._jobs.append((ticket, job))
            if time.monotonic() >= until:
                break

    def take(self, ticket: Ticket) -> None:
        """Answer an inference request, at once or in the course of the next `advance` calls."""
        with refusing(ticket):
            match ticket.request:
                case protocol.Describe():
                    ticket.answer(self._describe())
                case protocol.Reconstruct():
                    self._reconstruct(ticket, ticket.request)
                case protocol.Decode():
                    self._decode(ticket, ticket.request)
                case protocol.TestErrors():
                    self._jobs.append((ticket, self._errors(ticket)))
                case protocol.Sample():
                    self._jobs.append((ticket, self._samples(ticket, ticket.request)))
                case protocol.Map():
                    self._jobs.append((ticket, self._map(ticket)))
                case other:
                    ticket.answer(protocol.Failure(message=f"{type(other).__name__} cannot be done here"))

    @property
    def _width(self) -> int:
        return int(self._bench.dataset.test_images.shape[2])

    def preview_images(self) -> NDArray[np.uint8]:
        """The preview images as the model reconstructs them now, `(N, height, width)`."""
        chosen = self._bench.test[torch.tensor(self._bench.previews, device=self._bench.device)]
        shape = (-1, *self._bench.dataset.test_images.shape[1:])
        return np.frombuffer(as_bytes(reconstruct(self._bench.model, chosen).images), np.uint8).reshape(shape)

    def _describe(self) -> protocol.Description:
        epoch, step = self._where()
        dataset = self._bench.dataset
        height, width = dataset.test_images.shape[1:]
        return protocol.Description(
            state=self._state(), epoch=epoch, step=step, classes=dataset.classes,
            labels=dataset.test_labels.tobytes(), previews=self._bench.previews, height=height, width=width,
        )  # fmt: skip

    def _reconstruct(self, ticket: Ticket, request: protocol.Reconstruct) -> None:
        dataset, indices = self._bench.dataset, request.indices
        if max(indices) >= len(dataset.test_images):
            last = len(dataset.test_images) - 1
            ticket.answer(protocol.Failure(message=f"test images are numbered 0 to {last}, not {max(indices)}"))
            return
        epoch, step = self._where()
        result = reconstruct(self._bench.model, self._bench.test[torch.tensor(indices, device=self._bench.device)])
        ticket.answer(
            protocol.Reconstructions(
                epoch=epoch, step=step, indices=tuple(indices), labels=dataset.test_labels[indices].tobytes(),
                originals=grey_levels(dataset.test_images[indices]).tobytes(), reconstructions=as_bytes(result.images),
                mse=tuple(result.mse.tolist()), mu=as_floats(result.mu), width=self._width,
            )
        )  # fmt: skip

    def _decode(self, ticket: Ticket, request: protocol.Decode) -> None:
        size = self._bench.model.latent_dim
        values = np.frombuffer(request.z[: len(request.z) // 4 * 4], "<f4")
        if len(values) * 4 != len(request.z) or len(values) % size:
            found = f"{len(request.z) / 4:g} in all"
            ticket.answer(protocol.Failure(message=f"latents have {size} numbers each, not {found}"))
            return
        if len(values) // size > protocol.MAX_IMAGES:
            ticket.answer(protocol.Failure(message=f"at most {protocol.MAX_IMAGES} latents can be decoded at once"))
            return
        epoch, step = self._where()
        z = torch.from_numpy(values.astype(np.float32).reshape(-1, size)).to(self._bench.device)
        images = as_bytes(decode(self._bench.model, z))
        ticket.answer(protocol.Images(epoch=epoch, step=step, images=images, width=self._width))

    def _map(self, ticket: Ticket) -> Generator[None, None, None]:
        epoch, step = self._where()
        parts = []
        for batch in torch.split(self._bench.test, PIECE):
            parts.append(posterior_means(self._bench.model, batch))
            yield
        mu, kl = (torch.cat(column) for column in zip(*parts, strict=True))
        plane = principal_plane(mu)
        ticket.answer(
            protocol.LatentMap(
                epoch=epoch, step=step, latent_dim=mu.shape[1], origin=as_floats(plane.origin),
                directions=as_floats(plane.directions), points=as_floats(plane.project(mu.double())),
                labels=self._bench.dataset.test_labels.tobytes(), explained=plane.explained,
                kl_per_dim=tuple(kl.double().mean(dim=0).tolist()),
                deviations=tuple(mu.double().std(dim=0, correction=0).tolist()),
            )
        )  # fmt: skip

    def _errors(self, ticket: Ticket) -> Generator[None, None, None]:
        parts = []
        for batch in torch.split(self._bench.test, PIECE):
            parts.append(reconstruct(self._bench.model, batch).mse)
            yield
        epoch, step = self._where()
        labels = self._bench.dataset.test_labels.tobytes()
        ticket.answer(protocol.Errors(epoch=epoch, step=step, mse=as_floats(torch.cat(parts)), labels=labels))

    def _samples(self, ticket: Ticket, request: protocol.Sample) -> Generator[None, None, None]:
        epoch, step = self._where()
        generator = torch.Generator().manual_seed(request.seed)
        if request.source == "prior":
            z = torch.randn(request.count, self._bench.model.latent_dim, generator=generator)
        else:
            if self._gaussian is None or self._gaussian[0] != step:
                posteriors = []
                for batch in torch.split(self._bench.subset, PIECE):
                    posteriors.append(posterior(self._bench.model, batch))
                    yield
                self._gaussian = (step, gaussian_of(posteriors))
            z = self._gaussian[1].draw(request.count, generator)
        images = as_bytes(decode(self._bench.model, z.to(self._bench.device)))
        ticket.answer(
            protocol.Samples(epoch=epoch, step=step, source=request.source, images=images, width=self._width)
        )
