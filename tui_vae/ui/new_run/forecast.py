"""What a run will cost, told before it starts: its size from arithmetic, its time from runs that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

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

FIXED = 100_000
"""What an image costs however small the network is, in parameters: its gathering, converting and noise (measured on a
CPU: networks of 0.01, 0.1, 0.4 and 1.1 million parameters took 0.81, 0.97, 2.5 and 5.8 s an epoch)."""

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
    shape: tuple[str, ...] = ()


def shape_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """What the size of a network follows from, its kind first; `written` is a description as files hold it.

    Images in a folder of the user's own may have any size.
    """
    return tuple(str(written.get(name)) for name in ("model", "hidden", "latent-dim", "norm", "data-dir"))


def parameters_of(config: RunConfig, paces: Iterable[Pace] = ()) -> int | None:
    """From arithmetic, or, for a network or data of another kind, from a run that had the same; None without one."""
    shape = shape_of(config.to_dict())
    if shape[0] == "mlp" and config.data_dir is None:
        return count_parameters(config.hidden, config.latent_dim, config.norm)
    if shape[0] == "conv" and config.data_dir is None:
        return _count_convolutional(config)
    return next((pace.parameters for pace in paces if pace.shape == shape), None)


def pace_of(run: RunDirectory) -> Pace | None:
    """The pace of a run's newest epochs, if it got so far."""
    history = read_newest(run.events) or read_history(run.events)
    facts, epochs = history.run, history.epochs[-3:]
    seconds = sum(epoch.seconds for epoch in epochs)
    if not isinstance(facts, RunEvent) or not seconds > 0:
        return None
    rate = facts.dataset.train * len(epochs) / seconds
    return Pace(facts.device, facts.parameters, rate, shape_of(facts.config))


def read_paces(runs_dir: Path) -> list[Pace]:
    """Those of the newest runs, the newest first."""
    return [pace for run in list_runs(runs_dir)[:MOST_RUNS] if (pace := pace_of(run)) is not None]


def seconds_of(config: RunConfig, paces: Sequence[Pace]) -> tuple[float, str] | None:
    """About how long a run will take, and on which device; None where no run of this kind on that device is known.

    Which device `auto` will be is not known here: the newest run's, most likely.
    """
    count, kind = parameters_of(config, paces), shape_of(config.to_dict())[0]
    for pace in paces:
        same = config.device in ("auto", pace.device, pace.device.partition(":")[0]) and pace.shape[:1] == (kind,)
        if same and count is not None:
            share = (count + FIXED) / (pace.parameters + FIXED)
            return _images(config) * config.epochs / pace.images_per_s * share, pace.device
    return None


def prospects(config: RunConfig, paces: Sequence[Pace]) -> list[tuple[str, str]]:
    """What is known before the start, a name and a value each."""
    count, known = parameters_of(config, paces), seconds_of(config, paces)
    steps = -(-_images(config) // config.batch_size)
    later = "told when it starts"
    return [
        ("parameters", f"{count:,}" if count is not None else later),
        ("weights", _bytes(4 * count) if count is not None else later),
        ("a checkpoint", _bytes(4 * count * CHECKPOINT_NUMBERS) if count is not None else later),
        ("steps", f"{steps * config.epochs:,}, {steps:,} an epoch"),
        ("time", f"about {duration(known[0], 0)} on {known[1]}" if known else "the first such run will tell"),
    ]


def forecast(config: RunConfig, paces: Sequence[Pace]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    told = dict(prospects(config, paces))
    if parameters_of(config, paces) is None:
        return legible(f"steps: {told['steps']} · its size is told when it starts")
    parts = [f"{told['parameters']} parameters", f"{told['weights']}, a checkpoint {told['a checkpoint']}"]
    return legible(" · ".join([*parts, *([told["time"]] if seconds_of(config, paces) else [])]))


def _images(config: RunConfig) -> int:
    return min(config.train_limit or TRAIN_IMAGES, TRAIN_IMAGES)


def _bytes(size: int) -> str:
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6) if size >= 1e5 else ("kB", 1e3)
    return f"{size / factor:,.1f} {unit}"
