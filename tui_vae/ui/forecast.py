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

FIXED = 100_000
"""What an image costs however small the network is, in parameters: its gathering, converting and noise (measured on a
CPU: networks of 0.01, 0.1, 0.4 and 1.1 million parameters took 0.81, 0.97, 2.5 and 5.8 s an epoch)."""

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
    for pace in paces:
        if config.device in ("auto", pace.device, pace.device.partition(":")[0]):
            images = _images(config) * config.epochs
            share = (parameters_of(config) + FIXED) / (pace.parameters + FIXED)
            return images / pace.images_per_s * share, pace.device
    return None


def prospects(config: RunConfig, paces: Iterable[Pace]) -> list[tuple[str, str]]:
    """What is known before the start, a name and a value each."""
    count = parameters_of(config)
    steps = -(-_images(config) // config.batch_size)
    found = [
        ("parameters", f"{count:,}"),
        ("weights", _bytes(4 * count)),
        ("a checkpoint", _bytes(4 * count * CHECKPOINT_NUMBERS)),
        ("steps", f"{steps * config.epochs:,}, {steps:,} an epoch"),
    ]
    known = seconds_of(config, paces)
    time = f"about {duration(known[0], 0)} on {known[1]}" if known else "the first run here will tell"
    return [*found, ("time", time)]


def forecast(config: RunConfig, paces: Iterable[Pace]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    count = parameters_of(config)
    size = f"{_bytes(4 * count)}, a checkpoint {_bytes(4 * count * CHECKPOINT_NUMBERS)}"
    parts = [f"{count:,} parameters", size]
    known = seconds_of(config, paces)
    if known is not None:
        parts.append(f"about {duration(known[0], 0)} on {known[1]}")
    return legible(" · ".join(parts))


def _images(config: RunConfig) -> int:
    return min(config.train_limit or TRAIN_IMAGES, TRAIN_IMAGES)


def _bytes(size: int) -> str:
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6) if size >= 1e5 else ("kB", 1e3)
    return f"{size / factor:,.1f} {unit}"
