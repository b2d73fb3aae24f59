"""The forecast of a run: its size by arithmetic, its time from earlier runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

from tui_vae.config import RunConfig, is_named, size_of
from tui_vae.config.convolutions import CHANNELS, KERNEL, halvings
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import RunEvent
from tui_vae.runs.history import read_history, read_newest
from tui_vae.ui.numbers import duration
from tui_vae.ui.terminal import legible

SIDE = 28
"""Pixels of an image's sides in all data sets that have names."""

TRAIN_IMAGES = 60_000
"""Images of FashionMNIST's training set, and of those of its family."""

OTHER_TRAIN_IMAGES = {
    "emnist-balanced": 112_800, "emnist-letters": 124_800, "emnist-digits": 240_000, "emnist-byclass": 697_932,
    "emnist-bymerge": 697_932,
}  # fmt: skip
"""Training images of those that have others (Cohen et al. 2017, https://arxiv.org/abs/1702.05373, table II)."""

CHECKPOINT_NUMBERS = 3
"""Numbers of 4 bytes in a checkpoint for each parameter: itself and the optimizer's two moments."""

FIXED_COST = 100_000
"""The cost of an image that no network avoids (gathering, converting, noise), as a number of parameters. Measured on a
CPU: networks of 0.01, 0.1, 0.4 and 1.1 million parameters took 0.81, 0.97, 2.5 and 5.8 s an epoch."""

LEAST_TRAINED = 1000
"""Training images of a run whose throughput tells another's: of fewer, an epoch is mostly evaluation."""

MOST_RUNS = 24
"""Newest runs among which a similar one on the same device is looked for."""

SIMILAR = 1.5
"""Two networks are similar where an image takes one of them at most so many times as long as the other."""


def count_parameters(hidden: Sequence[int], latent_dim: int, norm: str, pixels: int) -> int:
    """Weights and biases of the encoder with its one head for μ and log σ², and of the decoder that mirrors it."""

    def layers(widths: Sequence[int], end: int) -> int:
        return _hidden_parameters(widths, norm) + (widths[-1] + 1) * end

    return layers([pixels, *hidden], 2 * latent_dim) + layers([latent_dim, *reversed(hidden)], pixels)


def _hidden_parameters(widths: Sequence[int], norm: str, kernel: int = 1) -> int:
    """Weights of the layers from each width (or number of channels) to the next, biases and normalizations included."""
    each = 1 if norm == "none" else 3
    return sum(kernel * a * b + each * b for a, b in pairwise(widths))


def _count_convolutional(config: RunConfig, channels: int, height: int, width: int) -> int:
    """As `count_parameters`, between the convolutions and their mirror, whose last one has no normalization."""
    depth = halvings(height, width)
    inner, kernel = CHANNELS[:depth], KERNEL * KERNEL
    convolutions = _hidden_parameters((channels, *inner), config.norm, kernel)
    convolutions += _hidden_parameters(inner[::-1], config.norm, kernel)
    features = inner[-1] * (height >> depth) * (width >> depth)
    inwards, outwards = [features, *config.hidden], [config.latent_dim, *reversed(config.hidden), features]
    dense = _hidden_parameters(inwards, config.norm) + _hidden_parameters(outwards, config.norm)
    return convolutions + dense + (inwards[-1] + 1) * 2 * config.latent_dim + (kernel * inner[0] + 1) * channels


@dataclass(frozen=True)
class Throughput:
    """How fast a run was: training images a second, with the time of each epoch's evaluation."""

    device: str
    parameters: int
    images_per_s: float
    shape: tuple[str, ...] = ()
    train: int = 0
    """Training images."""


def shape_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """The options that determine the size of a network, its kind first; `written`: a config as files hold it.

    What says which data is among them: images of the user's own may have any size.
    """
    return tuple(str(written.get(name)) for name in (*OF_NETWORK, *OF_DATA))


OF_NETWORK, OF_DATA = ("model", "hidden", "latent-dim", "norm"), ("data-dir", "dataset", "image-size", "channels")


def image_shape(config: RunConfig) -> tuple[int, int, int] | None:
    """Channels, height and width of the images, as far as they are known before they are read."""
    if not is_named(config.dataset) or config.data_dir is not None:
        return None
    return 3 if config.channels == "3" else 1, *(size_of(config.image_size) or (SIDE, SIDE))


def parameters_of(config: RunConfig, known: Iterable[Throughput] = ()) -> int | None:
    """The number of parameters by arithmetic; for other networks or data from a run that had the same, None without."""
    shape = shape_of(config.to_dict())
    images = image_shape(config)
    if shape[0] == "mlp" and images is not None:
        return count_parameters(config.hidden, config.latent_dim, config.norm, prod(images))
    if shape[0] == "conv" and images is not None:
        return _count_convolutional(config, *images)
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
    return Throughput(event.device, event.parameters, rate, shape_of(event.config), event.dataset.train)


def read_throughputs(runs_dir: Path) -> list[Throughput]:
    """The throughputs of the newest runs, the newest first.

    Raises:
        RunError: the runs directory cannot be read.
    """
    return [found for run in list_runs(runs_dir)[:MOST_RUNS] if (found := throughput_of(run)) is not None]


def seconds_of(config: RunConfig, known: Sequence[Throughput]) -> tuple[float, str] | None:
    """About how many seconds a run will take, and on which device; None where no run of this kind on it is known.

    The newest run of a similar network tells it, else the one whose network is most like this one. For the device
    `auto` the newest run's is taken, which is the most likely one.
    """
    count, kind, images = parameters_of(config, known), shape_of(config.to_dict())[0], train_images(config, known)
    if count is None or images is None:
        return None

    def cost(each: Throughput) -> float:
        """How much longer an image takes than it did there."""
        return (count + FIXED_COST) / (each.parameters + FIXED_COST)

    same = [each for each in known if each.shape[:1] == (kind,) and not 0 < each.train < LEAST_TRAINED]
    device = same[0].device if same and config.device == "auto" else config.device
    same = [each for each in same if device in (each.device, each.device.partition(":")[0])]
    similar = next((each for each in same if 1 / SIMILAR <= cost(each) <= SIMILAR), None)
    found = similar or min(same, key=lambda each: abs(math.log(cost(each))), default=None)
    return None if found is None else (images * config.epochs / found.images_per_s * cost(found), found.device)


def facts(config: RunConfig, known: Sequence[Throughput]) -> list[tuple[str, str]]:
    """What is known of a run before its start: names and values."""
    count, time = parameters_of(config, known), seconds_of(config, known)
    images, later = train_images(config, known), "told when it starts"
    steps = None if images is None else -(-images // config.batch_size)
    return [
        ("parameters", f"{count:,}" if count is not None else later),
        ("weights", _bytes(4 * count) if count is not None else later),
        ("a checkpoint", _bytes(4 * count * CHECKPOINT_NUMBERS) if count is not None else later),
        ("steps", f"{steps * config.epochs:,}, {steps:,} an epoch" if steps is not None else later),
        ("time", f"about {duration(time[0], 0)} on {time[1]}" if time else "not known yet"),
    ]


def summary(config: RunConfig, known: Sequence[Throughput]) -> str:
    """One line: `1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 1:12 on cpu`."""
    values = dict(facts(config, known))
    if parameters_of(config, known) is None:
        steps = f"steps: {values['steps']} · " if train_images(config, known) is not None else ""
        return legible(f"{steps}its size is told when it starts")
    parts = [f"{values['parameters']} parameters", f"{values['weights']}, a checkpoint {values['a checkpoint']}"]
    return legible(" · ".join([*parts, *([values["time"]] if seconds_of(config, known) else [])]))


def train_images(config: RunConfig, known: Iterable[Throughput] = ()) -> int | None:
    """How many images a run trains on: of data sets with a name, or as a run on the same data did; else None."""
    if is_named(config.dataset) and config.data_dir is None:
        there = OTHER_TRAIN_IMAGES.get(config.dataset, TRAIN_IMAGES)
    else:
        data = shape_of(config.to_dict())[len(OF_NETWORK) :]
        there = max((each.train for each in known if each.shape[len(OF_NETWORK) :] == data), default=0)
    return min(config.train_limit or there, there) or None


def _bytes(size: int) -> str:
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6) if size >= 1e5 else ("kB", 1e3)
    return f"{size / factor:,.1f} {unit}"
