"""What a run will cost, told before it starts: its size from arithmetic, its time from runs that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tui_vae.config import RunConfig
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import RunEvent
from tui_vae.runs.history import read_history
from tui_vae.ui.numbers import duration
from tui_vae.ui.terminal import legible

PIXELS = 784
TRAIN_IMAGES = 60_000
"""Images of the whole training set."""

CHECKPOINT_NUMBERS = 3
"""A parameter is kept with the optimizer's two moments of it; each number takes 4 bytes."""

MOST_RUNS = 8
"""Among so many of the newest runs one on the same device is looked for."""


def count_parameters(hidden: Sequence[int], latent_dim: int, norm: str, pixels: int = PIXELS) -> int:
    """Weights and biases of the encoder with its one head for μ and log σ², and of the decoder that mirrors it."""

    def layers(widths: Sequence[int], end: int) -> int:
        return _hidden_parameters(widths, norm) + (widths[-1] + 1) * end

    return layers([pixels, *hidden], 2 * latent_dim) + layers([latent_dim, *reversed(hidden)], pixels)


def _hidden_parameters(widths: Sequence[int], norm: str, kernel: int = 1) -> int:
    """Weights of the layers from each width (or number of channels) to the next, biases and normalizations included."""
    each = 1 if norm == "none" else 3
    return sum(kernel * a * b + each * b for a, b in pairwise(widths))


def parameters_of(config: RunConfig) -> int | None:
    """None where only the network itself could tell: a model of the user's own."""
    if ":" in config.model:
        return None
    if config.model == "conv":
        return _count_convolutional(config)
    return count_parameters(config.hidden, config.latent_dim, config.norm)


def _count_convolutional(config: RunConfig) -> int:
    """As `count_parameters`, between two convolutions of 4 × 4 that end with 32 images of 7 × 7, and their mirror."""
    convolutions = _hidden_parameters([1, 16, 32], config.norm, 16) + _hidden_parameters([32, 16], config.norm, 16)
    inwards, outwards = [32 * 7 * 7, *config.hidden], [config.latent_dim, *reversed(config.hidden), 32 * 7 * 7]
    dense = _hidden_parameters(inwards, config.norm) + _hidden_parameters(outwards, config.norm)
    return convolutions + dense + (inwards[-1] + 1) * 2 * config.latent_dim + 16 * 16 + 1


@dataclass(frozen=True)
class Pace:
    """How fast a run went: training images a second, each epoch's evaluation counted in."""

    device: str
    parameters: int
    images_per_s: float


def pace_of(run: RunDirectory) -> Pace | None:
    """The pace of a run's newest epochs, if it got so far."""
    history = read_history(run.events)
    facts, epochs = history.run, history.epochs[-3:]
    seconds = sum(epoch.seconds for epoch in epochs)
    if not isinstance(facts, RunEvent) or not seconds > 0:
        return None
    rate = facts.dataset.train * len(epochs) / seconds
    return Pace(facts.device, facts.parameters, rate)


def read_paces(runs_dir: Path) -> list[Pace]:
    """Those of the newest runs, the newest first."""
    return [pace for run in list_runs(runs_dir)[:MOST_RUNS] if (pace := pace_of(run)) is not None]


def seconds_of(config: RunConfig, paces: Iterable[Pace]) -> tuple[float, str] | None:
    """About how long a run will take, and on which device; None where no run on that device is known.

    Which device `auto` will be is not known here: the newest run's, most likely.
    """
    count = parameters_of(config)
    if count is None:
        return None
    for pace in paces:
        if config.device in ("auto", pace.device, pace.device.partition(":")[0]):
            images = min(config.train_limit or TRAIN_IMAGES, TRAIN_IMAGES) * config.epochs
            return images / pace.images_per_s * count / pace.parameters, pace.device
    return None


def forecast(config: RunConfig, paces: Iterable[Pace]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    count = parameters_of(config)
    if count is None:
        return "a model of your own: its size is known once it runs"
    size = f"{_megabytes(4 * count)}, a checkpoint {_megabytes(4 * count * CHECKPOINT_NUMBERS)}"
    parts = [f"{count:,} parameters", size]
    known = seconds_of(config, paces)
    if known is not None:
        parts.append(f"about {duration(known[0], 0)} on {known[1]}")
    return legible(" · ".join(parts))


def _megabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
