"""The figure of the test images that a benchmark trains for: `--until bits=6.74`, `--until mse=0.0085`."""

from __future__ import annotations

import math
from typing import NamedTuple

FIGURES = {"bits": "elbo_bpd", "mse": "mse"}
"""Names of figures in `--until`, and in the log."""


class Target(NamedTuple):
    """A figure of the test images: its name in `FIGURES`, and the value that it must not exceed."""

    figure: str
    value: float

    def __str__(self) -> str:
        unit = " bits a pixel" if self.figure == "bits" else ""
        return f"{'' if unit else 'mse '}{self.value:g}{unit}"

    def is_reached(self, figures: dict[str, float | None]) -> bool:
        """Whether it is, by the figures of an epoch, named as in the log."""
        found = figures.get(FIGURES[self.figure])
        return found is not None and found <= self.value


def parse_target(text: str) -> Target:
    """
    Raises:
        ValueError: it is not such as `bits=6.74` or `mse=0.0085`.
    """
    figure, _, number = text.partition("=")
    value = float(number)
    if figure not in FIGURES or not math.isfinite(value):
        raise ValueError
    return Target(figure, value)
