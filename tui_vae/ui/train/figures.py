"""The figures that a chart of the Train pane can show, and the pages of charts that the user has chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tui_vae.ui import numbers

MOST_ROWS, MOST_COLUMNS = 4, 4
"""Charts below and beside each other: with more, a terminal of 200 columns has none of a size to read."""

DIMENSION = re.compile(r"kl:(\d{1,4})")
"""The name of the KL of one latent dimension."""


@dataclass(frozen=True)
class Measure:
    """One chart: its figure's name, its title, which events have it, and how it is written.

    of: the field of the events that it is made from; empty: `name`. transform: makes it of that field and of the
    number of pixels of an image, D.
    """

    name: str
    title: str
    unit: str = ""
    by_step: bool = True
    by_epoch: bool = True
    smoothed: bool = True
    factor: float = 1.0
    digits: int = 4
    width: int = 5
    written: Literal["metric", "setting", "rate"] = "metric"
    of: str = ""
    transform: Callable[[float, int], float] | None = None
    gauge: bool = False
    """Whether `gauge` events have it, which are fewer than `step` events."""

    @property
    def field(self) -> str:
        """The field of the events that it is made from."""
        return self.of or self.name

    @property
    def dimension(self) -> int | None:
        """Which latent dimension's KL it is; None for other figures."""
        found = DIMENSION.fullmatch(self.name)
        return int(found[1]) if found else None

    def text(self, value: float | None) -> str:
        """A value, already multiplied by `factor`, in a fixed number of cells."""
        match self.written:
            case "setting":
                text = numbers.setting(value).rjust(self.width)
            case "rate":
                text = numbers.short(value, self.width)
            case _:
                text = numbers.metric(value, self.width, self.digits)
        return f"{text} {self.unit}" if self.unit else text


def _sigma(recon: float, pixels: int) -> float:
    """σ of the Gaussian decoder whose one variance fits best, on [0, 1]: √(recon/D) on [-1, 1], halved."""
    return math.sqrt(recon / pixels) / 2 if recon >= 0 and pixels else math.nan


def _gib(value: float, pixels: int) -> float:
    return value / 2**30


MEASURES = (
    Measure("recon", "reconstruction"),
    Measure("kl", "KL", "nats"),
    Measure("loss", "loss", width=6),
    Measure("accuracy", "accuracy", "%", by_step=False, factor=100.0, digits=3, width=4),
)
"""Figures of the model."""

CONDITIONS = (
    Measure("elbo_bpd", "−ELBO, bits a pixel", by_step=False),
    Measure("lr", "learning rate", by_epoch=False, smoothed=False, width=8, written="setting"),
    Measure("beta", "β", by_epoch=False, smoothed=False, width=8, written="setting"),
    Measure("images_per_s", "images/s", by_epoch=False, written="rate"),
)
"""Figures that compare runs, and the conditions of training."""

OTHERS = (
    Measure("mse", "mse", by_step=False, width=6),
    Measure("active_units", "active units", by_step=False, digits=3, width=4),
    Measure("sigma", "σ of a pixel", of="recon", transform=_sigma),
    Measure("encoder_gradient", "encoder gradient", by_epoch=False, gauge=True),
    Measure("decoder_gradient", "decoder gradient", by_epoch=False, gauge=True),
    Measure("cpu", "CPU load", "%", by_epoch=False, smoothed=False, digits=3, width=4, gauge=True),
    Measure("memory", "memory", "GiB", by_epoch=False, smoothed=False, transform=_gib, gauge=True),
    Measure("gpu", "GPU load", "%", by_epoch=False, smoothed=False, digits=3, width=4, gauge=True),
    Measure("gpu_memory", "GPU memory", "GiB", by_epoch=False, smoothed=False, transform=_gib, gauge=True),
)
"""Figures that are shown only to those who choose them."""

FIGURES = (*MEASURES, *CONDITIONS, *OTHERS)
USUAL = tuple(measure.name for measure in (*MEASURES, *CONDITIONS))


def measure_of(name: str) -> Measure | None:
    """The figure of this name, such as `mse` or `kl:3`; None where there is none."""
    if found := DIMENSION.fullmatch(name):
        return Measure(name, f"KL of z {int(found[1])}", "nats", by_step=False)
    return next((measure for measure in FIGURES if measure.name == name), None)


def pages(names: Sequence[str], rows: int, columns: int) -> list[tuple[Measure, ...]]:
    """The figures of these names, as many on a page as it has charts; the usual ones where none is known."""
    chosen = [measure for name in names or USUAL if (measure := measure_of(name)) is not None]
    chosen = chosen or [*MEASURES, *CONDITIONS]
    size = rows * columns
    return [tuple(chosen[start : start + size]) for start in range(0, len(chosen), size)]
