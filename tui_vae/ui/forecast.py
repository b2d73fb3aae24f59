"""What a run will cost, told before it starts: its size from arithmetic, its time from runs that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tui_vae.config import RunConfig
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import RunEvent
from tui_vae.runs.history import read_history, read_newest
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
        inner = sum((a + 1) * b + (2 * b if norm == "layer" else 0) for a, b in pairwise(widths))
        return inner + (widths[-1] + 1) * end

    return layers([pixels, *hidden], 2 * latent_dim) + layers([latent_dim, *reversed(hidden)], pixels)


def parameters_of(config: RunConfig) -> int:
    return count_parameters(config.hidden, config.latent_dim, config.norm)


@dataclass(frozen=True)
class Pace:
    """How fast a run went: training images a second, each epoch's evaluation counted in."""

    device: str
    parameters: int
    images_per_s: float


def pace_of(run: RunDirectory) -> Pace | None:
    """The pace of a run's newest epochs, if it got so far."""
    history = read_newest(run.events) or read_history(run.events)
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
    for pace in paces:
        if config.device in ("auto", pace.device, pace.device.partition(":")[0]):
            images = min(config.train_limit or TRAIN_IMAGES, TRAIN_IMAGES) * config.epochs
            return images / pace.images_per_s * parameters_of(config) / pace.parameters, pace.device
    return None


def forecast(config: RunConfig, paces: Iterable[Pace]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    count = parameters_of(config)
    size = f"{_megabytes(4 * count)}, a checkpoint {_megabytes(4 * count * CHECKPOINT_NUMBERS)}"
    parts = [f"{count:,} parameters", size]
    known = seconds_of(config, paces)
    if known is not None:
        parts.append(f"about {duration(known[0], 0)} on {known[1]}")
    return legible(" · ".join(parts))


def _megabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
