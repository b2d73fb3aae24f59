"""The forecast of a run: its size by arithmetic, its time from earlier runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tui_vae.config import RunConfig, is_named
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import RunEvent
from tui_vae.runs.history import read_history, read_newest
from tui_vae.ui.numbers import duration
from tui_vae.ui.terminal import legible

PIXELS = 784
"""Pixels of an image of FashionMNIST, which has 28 × 28."""

TRAIN_IMAGES = 60_000
"""Images of FashionMNIST's training set."""

CHANNELS, KERNEL, SMALL_IMAGE = (1, 16, 32), 4 * 4, 7 * 7
"""Of the convolutional network for these images: channels before and after its convolutions, weights of a kernel for
each pair of them, and pixels of an image after the last. (`core/models/conv.py` cannot be asked without PyTorch.)"""

CHECKPOINT_NUMBERS = 3
"""Numbers of 4 bytes in a checkpoint for each parameter: itself and the optimizer's two moments."""

FIXED_COST = 100_000
"""The cost of an image that no network avoids (gathering, converting, noise), as a number of parameters. Measured on a
CPU: networks of 0.01, 0.1, 0.4 and 1.1 million parameters took 0.81, 0.97, 2.5 and 5.8 s an epoch."""

MOST_RUNS = 8
"""Newest runs among which one on the same device is looked for."""


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
    """As `count_parameters`, between the convolutions and their mirror, whose last one has no normalization."""
    back = CHANNELS[:0:-1]
    convolutions = _hidden_parameters(CHANNELS, config.norm, KERNEL) + _hidden_parameters(back, config.norm, KERNEL)
    features = CHANNELS[-1] * SMALL_IMAGE
    inwards, outwards = [features, *config.hidden], [config.latent_dim, *reversed(config.hidden), features]
    dense = _hidden_parameters(inwards, config.norm) + _hidden_parameters(outwards, config.norm)
    return convolutions + dense + (inwards[-1] + 1) * 2 * config.latent_dim + KERNEL * back[-1] + 1


@dataclass(frozen=True)
class Throughput:
    """How fast a run was: training images a second, with the time of each epoch's evaluation."""

    device: str
    parameters: int
    images_per_s: float
    shape: tuple[str, ...] = ()


def shape_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """The options that determine the size of a network, its kind first; `written`: a config as files hold it.

    What says which data is among them: images of the user's own may have any size.
    """
    of_network, of_data = ("model", "hidden", "latent-dim", "norm"), ("data-dir", "dataset", "image-size", "channels")
    return tuple(str(written.get(name)) for name in (*of_network, *of_data))


def parameters_of(config: RunConfig, known: Iterable[Throughput] = ()) -> int | None:
    """The number of parameters by arithmetic; for other networks or data from a run that had the same, None without."""
    shape = shape_of(config.to_dict())
    as_known = is_named(config.dataset) and config.data_dir is None  # all of them are grey, and of one size
    as_known = as_known and config.image_size is None and config.channels != "3"
    if shape[0] == "mlp" and as_known:
        return count_parameters(config.hidden, config.latent_dim, config.norm)
    if shape[0] == "conv" and as_known:
        return _count_convolutional(config)
    return next((each.parameters for each in known if each.shape == shape), None)


def throughput_of(run: RunDirectory) -> Throughput | None:
    """The throughput of a run's newest epochs; None before its first, and for a log that cannot be read."""
    try:
        history = read_newest(run.events) or read_history(run.events)
    except OSError:
        return None
    event, epochs = history.run, history.epochs[-3:]
    seconds = sum(epoch.seconds for epoch in epochs)
    if not isinstance(event, RunEvent) or not seconds > 0:
        return None
    rate = event.dataset.train * len(epochs) / seconds
    return Throughput(event.device, event.parameters, rate, shape_of(event.config))


def read_throughputs(runs_dir: Path) -> list[Throughput]:
    """The throughputs of the newest runs, the newest first.

    Raises:
        RunError: the runs directory cannot be read.
    """
    return [found for run in list_runs(runs_dir)[:MOST_RUNS] if (found := throughput_of(run)) is not None]


def seconds_of(config: RunConfig, known: Sequence[Throughput]) -> tuple[float, str] | None:
    """About how many seconds a run will take, and on which device; None where no run of this kind on it is known.

    For the device `auto` the newest run's is taken, which is the most likely one.
    """
    count, kind = parameters_of(config, known), shape_of(config.to_dict())[0]
    for each in known:
        same = config.device in ("auto", each.device, each.device.partition(":")[0]) and each.shape[:1] == (kind,)
        if same and count is not None:
            share = (count + FIXED_COST) / (each.parameters + FIXED_COST)
            return _images(config) * config.epochs / each.images_per_s * share, each.device
    return None


def facts(config: RunConfig, known: Sequence[Throughput]) -> list[tuple[str, str]]:
    """What is known of a run before its start: names and values."""
    count, time = parameters_of(config, known), seconds_of(config, known)
    steps = -(-_images(config) // config.batch_size)
    later = "told when it starts"
    return [
        ("parameters", f"{count:,}" if count is not None else later),
        ("weights", _bytes(4 * count) if count is not None else later),
        ("a checkpoint", _bytes(4 * count * CHECKPOINT_NUMBERS) if count is not None else later),
        ("steps", f"{steps * config.epochs:,}, {steps:,} an epoch"),
        ("time", f"about {duration(time[0], 0)} on {time[1]}" if time else "the first such run will tell"),
    ]


def summary(config: RunConfig, known: Sequence[Throughput]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    values = dict(facts(config, known))
    if parameters_of(config, known) is None:
        return legible(f"steps: {values['steps']} · its size is told when it starts")
    parts = [f"{values['parameters']} parameters", f"{values['weights']}, a checkpoint {values['a checkpoint']}"]
    return legible(" · ".join([*parts, *([values["time"]] if seconds_of(config, known) else [])]))


def _images(config: RunConfig) -> int:
    return min(config.train_limit or TRAIN_IMAGES, TRAIN_IMAGES)


def _bytes(size: int) -> str:
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6) if size >= 1e5 else ("kB", 1e3)
    return f"{size / factor:,.1f} {unit}"
