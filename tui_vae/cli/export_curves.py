"""A run's curves as a figure for a paper: PNG, SVG or PDF, by matplotlib."""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import History, read_history

PANELS = (
    ("elbo_bpd", "negative ELBO, bits a pixel"),
    ("mse", "mse at z = μ, a pixel on [0, 1]"),
    ("recon", "reconstruction, an image on [-1, 1]"),
    ("kl", "KL, nats an image"),
    ("loss", "loss"),
    ("active_units", "active units"),
)
"""A panel each: a figure of an epoch, and what it is called."""

INCHES, DOTS_PER_INCH = (10.0, 5.6), 150
"""The figure's size, as wide as a page of two columns; only PNG has dots."""

TEST, TRAIN = "#c8641e", "#2f7fb8"
"""Colours of the two curves: the app's, darker, for a white ground."""


def curves(directory: RunDirectory, ending: str) -> bytes:
    """Test and training curves over epochs.

    Raises:
        UserError: matplotlib is not installed. RunError: no epoch is done yet.
    """
    if find_spec("matplotlib") is None:
        hint = "install it: pip install matplotlib, or export the metrics"
        raise UserError("curves cannot be drawn without matplotlib", hint)
    history = read_history(directory.events)
    if not history.epochs:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    return _draw(history, directory.name, ending)


def _draw(history: History, name: str, ending: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which looks for a screen

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tui-vae", "pdf.fonttype": 42}):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots(2, 3).flat
        epochs = [event.epoch for event in history.epochs]
        for axis, (field, words) in zip(axes, PANELS, strict=True):
            for side, colour in (("train", TRAIN), ("test", TEST)):
                values = [_number(getattr(getattr(event, side), field)) for event in history.epochs]
                axis.plot(epochs, values, color=colour, label=side, marker="." if len(epochs) < 2 else None)
            axis.set_title(words, fontsize="medium")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            axis.xaxis.get_major_locator().set_params(integer=True)
        figure.supxlabel("epoch")
        figure.axes[0].legend(frameon=False)
        figure.suptitle(name)
        buffer = io.BytesIO()
        facts: dict[str, Any] = {"CreationDate": None} if ending == "pdf" else {"Date": None} if ending == "svg" else {}
        figure.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=facts)
    return buffer.getvalue()


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
