"""Answers to whoever looks inside: reconstructions, errors, samples, from the newest weights.

What is asked of all images at once is answered, while a run trains, from what its last evaluation found: at once, from
weights an epoch old at most, whose epoch and step the answer names. Else it is looked up in the newest weights, by
generators that yield between pieces, so that training and controls go on in between.
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

from tui_vae.core.evaluation.latent import principal_plane
from tui_vae.core.evaluation.metrics import Survey, reconstruct
from tui_vae.core.evaluation.sampling import LatentGaussian, decode, gaussian_of
from tui_vae.core.pixels import grey_levels
from tui_vae.errors import first_line
from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import FLOAT_BYTES, decode_floats, encode_floats
from tui_vae.trainer.evaluation_cache import Overview, Seen
from tui_vae.trainer.run_setup import LoadedRun
from tui_vae.trainer.server import Ticket

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
        ticket.answer(protocol.Failure(message=f"{type(ticket.request).__name__} failed: {first_line(error)}"))


def as_floats(values: Tensor) -> bytes:
    """Numbers as the float32 that travel, row by row."""
    return encode_floats(values.cpu().float().numpy().data)


class Inference:
    """Answers inference requests of `run`'s model. `where` tells epoch and step of the weights."""

    def __init__(self, run: LoadedRun, where: Callable[[], tuple[int, int]], state: Callable[[], str]) -> None:
        self._run = run
        self._where = where
        self._state = state
        self._jobs: deque[tuple[Ticket, Generator[None, None, None]]] = deque()
        self._test = Overview(run.model, run.test, where, errors=True)
        self._subset = Overview(run.model, run.subset, where, errors=False)
        self._gaussian: tuple[Survey, LatentGaussian] | None = None

    @property
    def busy(self) -> bool:
        return bool(self._jobs) or self._test.is_due or self._subset.is_due

    def remember(self, of_test: Survey, of_subset: Survey) -> None:
        """What an evaluation of the newest weights found."""
        self._test.remember(of_test)
        self._subset.remember(of_subset)

    def advance(self) -> None:
        """Work on the longer answers for a moment, in turn; where there are none, on what is asked again and again."""
        for overview in (self._test, self._subset):
            if overview.is_due and not self._jobs:
                overview.renew_a_little()
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
                    self._of_all(ticket, self._test, self._errors)
                case protocol.Sample(source="prior"):
                    self._prior_samples(ticket, ticket.request)
                case protocol.Sample() as request:
                    self._of_all(ticket, self._subset, lambda each, seen: self._fitted_samples(each, request, seen),
                                 some_will_do=True)  # fmt: skip
                case protocol.Map():
                    self._of_all(ticket, self._test, self._map, some_will_do=True)
                case other:
                    ticket.answer(protocol.Failure(message=f"{type(other).__name__} cannot be done here"))

    @property
    def _width(self) -> int:
        return int(self._run.dataset.test_images.shape[2])

    def preview_images(self) -> NDArray[np.uint8]:
        """The preview images as the model reconstructs them now, `(N, height, width)`."""
        chosen = self._run.test[torch.tensor(self._run.previews, device=self._run.device)]
        shape = (-1, *self._run.dataset.test_images.shape[1:])
        return np.frombuffer(as_bytes(reconstruct(self._run.model, chosen).images), np.uint8).reshape(shape)

    def _describe(self) -> protocol.Description:
        epoch, step = self._where()
        dataset = self._run.dataset
        height, width = dataset.test_images.shape[1:]
        return protocol.Description(
            state=self._state(), epoch=epoch, step=step, classes=dataset.classes,
            labels=dataset.test_labels.tobytes(), previews=self._run.previews, height=height, width=width,
        )  # fmt: skip

    def _reconstruct(self, ticket: Ticket, request: protocol.Reconstruct) -> None:
        dataset, indices = self._run.dataset, request.indices
        if max(indices) >= len(dataset.test_images):
            last = len(dataset.test_images) - 1
            ticket.answer(protocol.Failure(message=f"test images are numbered 0 to {last}, not {max(indices)}"))
            return
        epoch, step = self._where()
        result = reconstruct(self._run.model, self._run.test[torch.tensor(indices, device=self._run.device)])
        ticket.answer(
            protocol.Reconstructions(
                epoch=epoch, step=step, indices=tuple(indices), labels=dataset.test_labels[indices].tobytes(),
                originals=grey_levels(dataset.test_images[indices]).tobytes(), reconstructions=as_bytes(result.images),
                mse=tuple(result.mse.tolist()), mu=as_floats(result.mu), width=self._width,
            )
        )  # fmt: skip

    def _decode(self, ticket: Ticket, request: protocol.Decode) -> None:
        size = self._run.model.latent_dim
        if len(request.z) % (FLOAT_BYTES * size):
            found = f"{len(request.z) / FLOAT_BYTES:g} in all"
            ticket.answer(protocol.Failure(message=f"latents have {size} numbers each, not {found}"))
            return
        z = torch.frombuffer(decode_floats(request.z), dtype=torch.float32).view(-1, size)
        if len(z) > protocol.MAX_IMAGES:
            ticket.answer(protocol.Failure(message=f"at most {protocol.MAX_IMAGES} latents can be decoded at once"))
            return
        epoch, step = self._where()
        images = as_bytes(decode(self._run.model, z.to(self._run.device)))
        ticket.answer(protocol.Images(epoch=epoch, step=step, images=images, width=self._width))

    def _of_all(
        self, ticket: Ticket, overview: Overview, answer: Callable[[Ticket, Seen], None], some_will_do: bool = False
    ) -> None:
        """Answer from what is remembered if a run trains or nothing has changed since; else look first.

        `some_will_do`: the first images do where a run trains that has not been evaluated yet.
        """
        training = self._state() == "training"
        if overview.seen is not None and (training or overview.is_current):
            answer(ticket, overview.seen)
        elif training and some_will_do:
            self._jobs.append((ticket, self._of_first(ticket, overview, answer)))
        else:
            self._jobs.append((ticket, self._looked_up(ticket, overview, answer)))
        if training and not overview.is_current:
            overview.renew()

    def _of_first(
        self, ticket: Ticket, overview: Overview, answer: Callable[[Ticket, Seen], None]
    ) -> Generator[None, None, None]:
        answer(ticket, (yield from overview.first()))

    def _looked_up(
        self, ticket: Ticket, overview: Overview, answer: Callable[[Ticket, Seen], None]
    ) -> Generator[None, None, None]:
        """After all images were looked at; under the very newest weights, where they stand still."""
        while overview.seen is None or not (overview.is_current or self._state() == "training"):
            overview.advance()
            yield
        answer(ticket, overview.seen)

    def _map(self, ticket: Ticket, seen: Seen) -> None:
        mu = seen.survey.mu.cpu().double()
        plane = principal_plane(mu)
        ticket.answer(
            protocol.LatentMap(
                epoch=seen.epoch, step=seen.step, latent_dim=mu.shape[1], origin=as_floats(plane.origin),
                directions=as_floats(plane.directions), points=as_floats(plane.project(mu)),
                labels=self._run.dataset.test_labels[: len(mu)].tobytes(), explained=plane.explained,
                kl_per_dim=tuple(seen.survey.kl.tolist()),
                deviations=tuple(mu.std(dim=0, correction=0).tolist()),
            )
        )  # fmt: skip

    def _errors(self, ticket: Ticket, seen: Seen) -> None:
        labels, mse = self._run.dataset.test_labels.tobytes(), as_floats(seen.survey.mse)
        ticket.answer(protocol.Errors(epoch=seen.epoch, step=seen.step, mse=mse, labels=labels))

    def _prior_samples(self, ticket: Ticket, request: protocol.Sample) -> None:
        generator = torch.Generator().manual_seed(request.seed)
        z = torch.randn(request.count, self._run.model.latent_dim, generator=generator)
        self._samples(ticket, request, z, self._where())

    def _fitted_samples(self, ticket: Ticket, request: protocol.Sample, seen: Seen) -> None:
        """Decoded by the newest weights, and as old as the Gaussian that they are drawn from."""
        if self._gaussian is None or self._gaussian[0] is not seen.survey:
            self._gaussian = seen.survey, gaussian_of(seen.survey)
        z = self._gaussian[1].draw(request.count, torch.Generator().manual_seed(request.seed))
        self._samples(ticket, request, z, (seen.epoch, seen.step))

    def _samples(self, ticket: Ticket, request: protocol.Sample, z: Tensor, where: tuple[int, int]) -> None:
        images = as_bytes(decode(self._run.model, z.to(self._run.device)))
        ticket.answer(
            protocol.Samples(epoch=where[0], step=where[1], source=request.source, images=images, width=self._width)
        )
