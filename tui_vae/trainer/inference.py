"""Replies to requests that look inside a model: reconstructions, errors, samples, the latent map.

While a run trains, requests about all images are answered at once from its last evaluation. Those weights are at most
an epoch old, and the reply names their epoch and step. Else the newest weights answer, by generators that yield between
batches, so that training and controls go on in between.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tui_vae.core.evaluation.forward import decode, reconstruct
from tui_vae.core.evaluation.kl_split import SHOWN_POINTS, KlSplit, split_kl_in_parts
from tui_vae.core.evaluation.latent_gaussian import LatentGaussian, fit_gaussian
from tui_vae.core.evaluation.nearest import nearest_in_parts
from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.core.evaluation.principal_plane import principal_plane
from tui_vae.core.pixels import as_images, grey_levels, unit_to_grey_levels
from tui_vae.errors import first_line
from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import FLOAT_BYTES, decode_floats, encode_floats
from tui_vae.runs.reply_sizes import most_images, most_reconstructions
from tui_vae.trainer.evaluation_cache import CachedStatistics, EvaluationCache
from tui_vae.trainer.run_setup import LoadedRun
from tui_vae.trainer.server import Ticket

SLICE = 0.03
"""Seconds of work on longer replies between two training steps; after that, shorter requests have their turn."""

BESIDE_TRAINING = 0.04
"""The share of the time that costly replies take while a run trains; they rest in between."""

TURN = 0.05
"""Seconds after which a costly reply looks again whether it is its turn."""

LIVE_IMAGES = 2500
"""Images, about, that the KL is split of while a run trains: of 10,000 it would take a minute beside training."""

SPLIT_DRAWS = 1000
"""Samples of z for a split of the KL: its standard error is then 0.1 nats or less."""

USUAL = 32
"""Reconstructions of test images that are compared with training images beside a sample."""

Job = Generator[float | None, None, protocol.AnyReply]
"""Computes a reply, and yields between batches, where other work may be done: the seconds it rests, if any."""

Found = TypeVar("Found")


class Waiting(NamedTuple):
    """A request whose job is under way, and the time (monotonic seconds) before which it rests."""

    ticket: Ticket
    job: Job
    at: float

    @property
    def is_ready(self) -> bool:
        return time.monotonic() >= self.at


class Inference:
    """Answers inference requests about a run's model.

    Args:
        where: gives the epoch and the step of the model's weights.
        state: gives the run's state as in the log, or `serving` where nothing is trained.
    """

    def __init__(self, run: LoadedRun, where: Callable[[], tuple[int, int]], state: Callable[[], str]) -> None:
        self._run = run
        self._where = where
        self._state = state
        self._jobs: deque[Waiting] = deque()
        self._test = EvaluationCache(run.model, run.test, where, errors=True)
        self._subset = EvaluationCache(run.model, run.subset, where, errors=False)
        self._gaussian: tuple[PosteriorStatistics, LatentGaussian] | None = None
        self._split: tuple[PosteriorStatistics, int, KlSplit] | None = None
        """The newest split, the statistics that it is of, and of how many images one was taken."""
        self._costly = False
        """Whether a costly reply is being computed."""

    @property
    def busy(self) -> bool:
        """Whether `advance` has something to do."""
        return self._has_ready_job or self._test.is_refresh_due or self._subset.is_refresh_due

    def store(self, test: PosteriorStatistics, subset: PosteriorStatistics) -> None:
        """Keep what an evaluation of the newest weights found on the test set and on the training subset."""
        self._test.store(test)
        self._subset.store(subset)

    def answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        """The reply to a request, with all the work that it takes; `Failure` where it cannot be answered."""
        job = self._job(request)
        while True:
            try:
                next(job)
            except StopIteration as end:
                reply: protocol.AnyReply = end.value
                return reply

    def take(self, ticket: Ticket) -> None:
        """Answer a request that came over the socket, at once or in the course of the next `advance` calls."""
        self._advance_job(ticket, self._job(ticket.request))

    def advance(self) -> None:
        """Work on longer replies for a moment, in turn; where there are none, refresh what is due."""
        for cache in (self._test, self._subset):
            if cache.is_refresh_due and not self._has_ready_job:
                cache.refresh_beside_training()
        until = time.monotonic() + SLICE
        while (waiting := next((each for each in self._jobs if each.is_ready), None)) is not None:
            self._jobs.remove(waiting)
            self._advance_job(waiting.ticket, waiting.job)
            if time.monotonic() >= until:
                break

    @property
    def _has_ready_job(self) -> bool:
        return any(waiting.is_ready for waiting in self._jobs)

    def _advance_job(self, ticket: Ticket, job: Job) -> None:
        try:
            rest = next(job)
        except StopIteration as end:
            ticket.answer(end.value)
        else:
            self._jobs.append(Waiting(ticket, job, time.monotonic() + (rest or 0.0)))

    def shown(self, decoded: Tensor) -> NDArray[np.uint8]:
        """Decoded images `(N, D)` in [0, 1] as they are looked at, `(N, height, width)` or `(N, height, width, 3)`."""
        return unit_to_grey_levels(as_images(decoded, self._run.dataset.shape))

    def _job(self, request: protocol.AnyRequest) -> Job:
        try:
            return (yield from self._reply(request))
        except RuntimeError as error:
            # What PyTorch cannot do (no memory, no Gaussian for a diverged encoder's NaN) ends the request, not a run.
            return _failure(f"{type(request).__name__} failed: {first_line(error)}")

    def _reply(self, request: protocol.AnyRequest) -> Job:
        match request:
            case protocol.Describe():
                return self._description()
            case protocol.Reconstruct():
                return self._reconstructions(request)
            case protocol.Decode():
                return self._images(request)
            case protocol.TestErrors():
                return self._test_errors((yield from self._statistics(self._test)))
            case protocol.Sample(source="prior"):
                return self._prior_samples(request)
            case protocol.Sample():
                cached = yield from self._statistics(self._subset, first_images_suffice=True)
                return self._fitted_samples(request, cached)
            case protocol.Map():
                return self._map((yield from self._statistics(self._test, first_images_suffice=True)))
            case protocol.Nearest():
                return (yield from self._nearest(request))
            case protocol.SplitKl():
                cached = yield from self._statistics(self._test, first_images_suffice=True)
                return (yield from self._kl_split(cached))
            case other:
                return _failure(f"{type(other).__name__} cannot be done here")

    def _statistics(
        self, cache: EvaluationCache, first_images_suffice: bool = False
    ) -> Generator[None, None, CachedStatistics]:
        """The cached statistics if a run trains or the weights are still the same; else those of the newest weights.

        `first_images_suffice`: the first images do where a run trains that has not been evaluated yet.
        """
        training = self._state() == "training"
        if training and not cache.is_current:
            cache.request_refresh()
        if training and cache.newest is None and first_images_suffice:
            yield
            return (yield from cache.compute_first_images())
        # Training may begin or end meanwhile: the newest weights answer only where they stand still.
        while cache.newest is None or not (cache.is_current or self._state() == "training"):
            yield
            cache.advance_refresh()
        return cache.newest

    def _label_bytes(self, chosen: slice | list[int]) -> bytes:
        """The classes of some test images, as they travel."""
        labels = self._run.dataset.test_labels
        return b"" if labels is None else labels[chosen].astype(labels.dtype.newbyteorder("<")).tobytes()

    def _description(self) -> protocol.Description:
        epoch, step = self._where()
        dataset = self._run.dataset
        channels, height, width = dataset.shape
        return protocol.Description(
            state=self._state(), epoch=epoch, step=step, classes=dataset.classes,
            labels=self._label_bytes(slice(None)), previews=self._run.previews, height=height, width=width,
            channels=channels, images=len(dataset.test_images),
        )  # fmt: skip

    def _reconstructions(self, request: protocol.Reconstruct) -> protocol.Reconstructions | protocol.Failure:
        dataset, indices = self._run.dataset, request.indices
        if max(indices) >= len(dataset.test_images):
            return _failure(f"test images are numbered 0 to {len(dataset.test_images) - 1}, not {max(indices)}")
        model = self._run.model
        most = most_reconstructions(model.pixels, model.latent_dim)
        if len(indices) > most:
            message = f"at most {most} images of this run fit into one reply, not {len(indices)}"
            return protocol.Failure(message=message, hint="ask for the others in another request")
        epoch, step = self._where()
        channels, _, width = dataset.shape
        result = reconstruct(model, self._run.test[torch.tensor(indices, device=self._run.device)])
        return protocol.Reconstructions(
            epoch=epoch, step=step, indices=tuple(indices), labels=self._label_bytes(indices),
            originals=grey_levels(dataset.test_images[indices]).tobytes(),
            reconstructions=self.shown(result.images).tobytes(),
            mse=tuple(result.mse.tolist()), mu=_float_bytes(result.mu), width=width, channels=channels,
        )  # fmt: skip

    def _images(self, request: protocol.Decode) -> protocol.Images | protocol.Failure:
        latent_dim = self._run.model.latent_dim
        if len(request.z) % (FLOAT_BYTES * latent_dim):
            found = f"{len(request.z) / FLOAT_BYTES:g} in all"
            return _failure(f"latents have {latent_dim} numbers each, not {found}")
        z = torch.frombuffer(decode_floats(request.z), dtype=torch.float32).view(-1, latent_dim)
        most = most_images(self._run.model.pixels)
        if len(z) > most:
            return _failure(f"at most {most} latents can be decoded at once")
        epoch, step = self._where()
        channels, _, width = self._run.dataset.shape
        images = self.shown(decode(self._run.model, z.to(self._run.device))).tobytes()
        return protocol.Images(epoch=epoch, step=step, images=images, width=width, channels=channels)

    def _test_errors(self, cached: CachedStatistics) -> protocol.Errors:
        labels, mse = self._label_bytes(slice(None)), _float_bytes(cached.statistics.mse)
        return protocol.Errors(epoch=cached.epoch, step=cached.step, mse=mse, labels=labels)

    def _map(self, cached: CachedStatistics) -> protocol.LatentMap:
        mu = cached.statistics.mu.cpu().double()
        plane = principal_plane(mu)
        return protocol.LatentMap(
            epoch=cached.epoch, step=cached.step, latent_dim=mu.shape[1], origin=_float_bytes(plane.origin),
            directions=_float_bytes(plane.directions), points=_float_bytes(plane.project(mu)),
            labels=self._label_bytes(slice(len(mu))), explained=plane.explained,
            kl_per_dim=tuple(cached.statistics.kl_per_dim.tolist()),
            deviations=tuple(mu.std(dim=0, correction=0).tolist()),
        )  # fmt: skip

    def _kl_split(self, cached: CachedStatistics) -> Job:
        statistics = cached.statistics
        found = yield from self._beside_training(self._split_in_parts(statistics))
        shown = found.marginals
        return protocol.KlSplit(
            epoch=cached.epoch, step=cached.step, images=found.images, draws=found.draws, kl=found.kl,
            mutual_information=found.mutual_information, total_correlation=found.total_correlation,
            standard_error=found.standard_error, per_dimension=tuple(found.per_dimension.tolist()),
            points=SHOWN_POINTS, low=_float_bytes(shown.low), high=_float_bytes(shown.high),
            density=_float_bytes(shown.density), means=_float_bytes(shown.means),
        )  # fmt: skip

    def _split_in_parts(self, statistics: PosteriorStatistics) -> Generator[None, None, KlSplit]:
        """The split of these statistics, which others may have asked for before."""
        count = len(statistics.mu)
        every = max(1, count // LIVE_IMAGES) if self._state() == "training" else 1
        if self._split is None or self._split[0] is not statistics or self._split[1] > every:
            mu, logvar = statistics.mu[::every], statistics.logvar[::every]
            parts = split_kl_in_parts(mu, logvar, SPLIT_DRAWS, self._run.config.seed)
            self._split = statistics, every, (yield from parts)
        return self._split[2]

    def _beside_training(self, parts: Generator[None, None, Found]) -> Generator[float, None, Found]:
        """What a costly computation finds. While a run trains, it rests after each part, to keep to its share, which
        all of them have together: one is under way at a time."""
        while self._costly:
            yield TURN
        self._costly = True
        try:
            while True:
                began = time.monotonic()
                try:
                    next(parts)
                except StopIteration as end:
                    found: Found = end.value
                    return found
                took = time.monotonic() - began
                yield took * (1 / BESIDE_TRAINING - 1) if self._state() == "training" else 0.0
        finally:
            self._costly = False

    def _prior_samples(self, request: protocol.Sample) -> protocol.Samples | protocol.Failure:
        generator = torch.Generator().manual_seed(request.seed)
        z = torch.randn(request.count, self._run.model.latent_dim, generator=generator)
        return self._samples(request, z, *self._where())

    def _fitted_samples(
        self, request: protocol.Sample, cached: CachedStatistics
    ) -> protocol.Samples | protocol.Failure:
        """Samples that the newest weights decode; their epoch and step are those of the Gaussian they come from."""
        if request.label is not None:
            chosen = self._of_class(request.label, len(cached.statistics.mu))
            if isinstance(chosen, protocol.Failure):
                return chosen
            gaussian = fit_gaussian(cached.statistics, chosen)
        elif self._gaussian is None or self._gaussian[0] is not cached.statistics:
            gaussian = fit_gaussian(cached.statistics)
            self._gaussian = cached.statistics, gaussian
        else:
            gaussian = self._gaussian[1]
        z = gaussian.draw(request.count, torch.Generator().manual_seed(request.seed))
        return self._samples(request, z, cached.epoch, cached.step)

    def _of_class(self, label: int, count: int) -> Tensor | protocol.Failure:
        """The places of a class's images among the first `count` of the training subset."""
        labels, classes = self._run.subset_labels, self._run.dataset.classes
        if labels is None:
            return _failure("the images have no classes")
        found = np.flatnonzero(labels[:count] == label)
        if not len(found):
            name = classes[label] if label < len(classes) else f"class {label}"
            return _failure(f"none of the {count:,} training images that the Gaussian is fitted to is {name}")
        return torch.from_numpy(found)

    def _nearest(self, request: protocol.Nearest) -> Job:
        run, (channels, _, width) = self._run, self._run.dataset.shape
        if len(request.z) != FLOAT_BYTES * run.model.latent_dim:
            return _failure(f"a latent has {run.model.latent_dim} numbers, not {len(request.z) / FLOAT_BYTES:g}")
        epoch, step = self._where()
        z = torch.frombuffer(decode_floats(request.z), dtype=torch.float32)[None].to(run.device)
        some = run.test[:: -(-len(run.test) // USUAL)]
        images = torch.cat([decode(run.model, z), reconstruct(run.model, some).images])
        parts = nearest_in_parts(images, run.train, request.count)
        places, mse = yield from self._beside_training(parts)
        indices, labels = places[0].cpu().numpy(), run.dataset.train_labels
        return protocol.Neighbours(
            epoch=epoch, step=step, indices=tuple(indices.tolist()), mse=tuple(mse[0].tolist()),
            labels=b"" if labels is None else labels[indices].astype(labels.dtype.newbyteorder("<")).tobytes(),
            images=grey_levels(run.dataset.train_images[indices]).tobytes(),
            usual=tuple(sorted(mse[1:, 0].tolist())), width=width, channels=channels,
        )  # fmt: skip

    def _samples(
        self, request: protocol.Sample, z: Tensor, epoch: int, step: int
    ) -> protocol.Samples | protocol.Failure:
        """The reply with the images of z `(count, latent_dim)`."""
        model, (channels, _, width) = self._run.model, self._run.dataset.shape
        most = most_images(model.pixels, model.latent_dim)
        if request.count > most:
            return _failure(f"at most {most} samples of this run fit into one reply, not {request.count}")
        images = self.shown(decode(model, z.to(self._run.device))).tobytes()
        return protocol.Samples(
            epoch=epoch, step=step, source=request.source, images=images, width=width, channels=channels,
            z=_float_bytes(z),
        )  # fmt: skip


def _failure(message: str) -> protocol.Failure:
    return protocol.Failure(message=message)


def _float_bytes(values: Tensor) -> bytes:
    """Numbers of any shape as the float32 that travel, row by row."""
    return encode_floats(values.cpu().float().numpy().data)
