"""Evaluations of the same images again and again while the weights change in place: on CUDA one recorded graph.

Evaluating 20,000 small images is some 300 kernels of a few microseconds: launched one by one, they take a slow host
longer than the device, and at large batches longer than an epoch's steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tui_vae.core.evaluation.forward import reconstruct
from tui_vae.core.evaluation.metrics import Batches, Evaluation, Passed, figures_of, pass_over, with_noise
from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import VAE
from tui_vae.core.objectives import Objective
from tui_vae.core.step.cuda_graph import Recorder, on_stream, record_cuda_graph
from tui_vae.errors import first_line

MOST_NOISE = 4_000_000
"""Numbers of noise that are kept from one evaluation to the next, 16 MB: of more images it is drawn anew each time."""

MOST_RECORDED = 32_000_000
"""Pixels of all images of a recording, 40,000 of 28 × 28. No request is answered while it runs, which takes a GPU a few
milliseconds; and of more pixels, the device's own time is what counts."""


NO_CUDA_GRAPH = "evaluations are launched kernel by kernel: they cannot be captured in a CUDA graph"


class RepeatedEvaluation:
    """Evaluates sets of images with the noise of one seed, as `evaluate` does, with the same figures to the last bit.

    Args:
        sets: images `(N, …)` each, on the model's device, where weights and images keep their places.
        previews: further images `(n, …)` there, at least one, which each evaluation also reconstructs.
        warn: called once, with the reason, if recording fails.
        record: how the evaluation is recorded to be replayed; by default as a CUDA graph, of a fully connected network
            on CUDA. Not of a convolutional one: it takes the device longer than the host, and a recording keeps its
            memory; nor of one of the user's own, whose Python may do another thing each time.

    Attributes:
        reconstructed: the previews as the last evaluation decoded them at z = μ, `(n, D)` in [0, 1]; the next one
            overwrites them.
    """

    def __init__(
        self, model: VAE, sets: Sequence[Tensor], previews: Tensor, objective: Objective, seed: int,
        warn: Callable[[str, str], None] = lambda what, why: None, record: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._model, self._sets, self._objective, self._seed = model, sets, objective, seed
        self._warn = warn
        self._previews, device = previews, sets[0].device
        self.reconstructed = torch.zeros(len(previews), model.pixels, device=device)
        if record is None and device.type == "cuda" and isinstance(model, MLP):
            record = record_cuda_graph
        keeps = model.latent_dim * sum(map(len, sets)) <= MOST_NOISE
        self._kept: list[list[tuple[Tensor, Tensor]]] | None = None
        if keeps:
            self._kept = [list(self._with_noise(images)) for images in sets]
        self._record = record if keeps and model.pixels * sum(map(len, sets)) <= MOST_RECORDED else None
        self._stream = torch.cuda.Stream(device) if self._record and device.type == "cuda" else None
        self._found: Tensor | None = None  # what a replay writes: all fields of all passes, one after the other
        self._shapes: list[list[torch.Size]] = []  # of these fields
        self._replay: Callable[[], None] | None = None

    def __call__(
        self, beta: float, after_batch: Callable[[], None] = lambda: None, meanwhile: Callable[[], None] = lambda: None
    ) -> list[tuple[Evaluation, PosteriorStatistics]]:
        """The figures of each set, with β = `beta` in the loss, and what they are made of.

        after_batch: called after each batch, or where the evaluation is replayed, once. meanwhile: called before the
        figures are waited for, while a GPU works on them.
        """
        if self._record is not None and self._found is not None and self._replay is None:
            self._replay = self._recorded(self._found)
        if self._replay is not None and self._found is not None:
            self._replay()
            passes = self._views(self._found.clone())  # others keep what was found, which the next replay overwrites
            meanwhile()
            after_batch()
        else:
            passes = self._pass_over_all(after_batch)  # the first time also has libraries choose their kernels
            meanwhile()
            if self._record is not None and self._found is None:
                self._shapes = [[part.shape for part in passed] for passed in passes]
                self._found = torch.zeros_like(_in_a_row(passes))
        return figures_of(passes, self._objective, beta, self._model.pixels)

    def _with_noise(self, images: Tensor) -> Batches:
        return with_noise(images, self._model.latent_dim, self._seed)

    def _pass_over_all(self, after_batch: Callable[[], None] = lambda: None) -> list[Passed]:
        self.reconstructed.copy_(reconstruct(self._model, self._previews).images)
        batches: Sequence[Batches] = self._kept or [self._with_noise(images) for images in self._sets]
        return [
            pass_over(self._model, each, self._objective, len(images), after_batch)
            for each, images in zip(batches, self._sets, strict=True)
        ]

    def _recorded(self, found: Tensor) -> Callable[[], None] | None:
        """A function that evaluates into `found`; None if that cannot be recorded."""
        assert self._record is not None

        def body() -> None:
            found.copy_(_in_a_row(self._pass_over_all()))

        try:
            with on_stream(self._stream):
                return self._record(body, torch.Generator(found.device))  # nothing draws from it
        except RuntimeError as error:
            self._record = self._found = None
            self._warn(NO_CUDA_GRAPH, first_line(error))
            return None

    def _views(self, found: Tensor) -> list[Passed]:
        """The passes whose fields lie in `found` one after the other."""
        values = iter(torch.split(found, [shape.numel() for shapes in self._shapes for shape in shapes]))
        return [Passed(*(next(values).view(shape) for shape in shapes)) for shapes in self._shapes]


def _in_a_row(passes: Sequence[Passed]) -> Tensor:
    """All fields of all passes in one vector."""
    return torch.cat([part.flatten() for passed in passes for part in passed])
