"""A run's events as what trackers take: names and numbers, and an array of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from tui_vae.config.end_command import without_command
from tui_vae.runs import events as ev

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OF_STEPS = ("loss", "recon", "kl", "lr", "beta", "images_per_s")
"""Figures of a `step` event."""


def of_step(event: ev.StepEvent) -> Iterator[tuple[str, float]]:
    """`steps/loss` and so on; without those that were no numbers."""
    for name in OF_STEPS:
        value = getattr(event, name)
        if value is not None:
            yield f"steps/{name}", value


def of_epoch(event: ev.EpochEvent) -> Iterator[tuple[str, float]]:
    """`train/mse`, `test/mse` and so on, `epoch/seconds`, `epoch/images_per_s`; without those that were no numbers."""
    for side in ("train", "test"):
        for name, value in msgspec.to_builtins(getattr(event, side)).items():
            if name != "kl_per_dim" and value is not None:
                yield f"{side}/{name}", value
    yield "epoch/seconds", event.seconds
    if event.images_per_s is not None:
        yield "epoch/images_per_s", event.images_per_s


def hyperparameters(run: ev.RunEvent) -> dict[str, Any]:
    """The options of a run that others may see, each a word, a number or a truth value: trackers take nothing else."""
    plain = (str, int, float, bool)
    return {
        name: value if isinstance(value, plain) else str(value) for name, value in without_command(run.config).items()
    }


def sheet_of(originals: tuple[bytes, ...], made: tuple[bytes, ...], width: int, channels: int) -> NDArray[np.uint8]:
    """Originals above, reconstructions below: `(2 · height, N · width, channels)`, uint8."""
    import numpy as np

    def row(images: tuple[bytes, ...]) -> NDArray[np.uint8]:
        return np.concatenate([np.frombuffer(each, np.uint8).reshape(-1, width, channels) for each in images], axis=1)

    return np.concatenate((row(originals), row(made)))
