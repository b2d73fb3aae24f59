"""The figures of every epoch as a table: of metrics.csv, and of whoever reads them in Python."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from tui_vae.runs.history import History
from tui_vae.runs.rate_distortion import rate_distortion

Row = dict[str, Any]
"""The figures of an epoch by their columns' names."""


def metrics_rows(history: History) -> list[Row]:
    """A row an epoch: `epoch, step, seconds, images_per_s, lr, beta`, then each figure as `train_…` and `test_…`.

    distortion: nats an image, as of `rate_distortion`; the rate is the KL. lr: of the epoch's last step. None: what an
    older log does not have, or what was no number.
    """
    rows, pixels = [], history.run.dataset.pixels if history.run else None
    for event in history.epochs:
        row: Row = {name: getattr(event, name) for name in ("epoch", "step", "seconds", "images_per_s")}
        row |= {name: None if (value := getattr(event, name)) is UNSET else value for name in ("lr", "beta")}
        for side in ("train", "test"):
            figures = msgspec.to_builtins(getattr(event, side))
            row |= {f"{side}_{name}": value for name, value in figures.items() if name != "kl_per_dim"}
            found = rate_distortion(figures["elbo_bpd"], figures["kl"], pixels)
            row[f"{side}_distortion"] = None if found is None else found[1]
        rows.append(row)
    return rows
