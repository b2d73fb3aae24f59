"""Figures for papers, by matplotlib: a PNG, SVG or PDF file that is the same each time it is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tui_vae.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = ("png", "svg", "pdf")

DOTS_PER_INCH = 150
"""Of a PNG; only that has dots."""

TEST, TRAIN = "#c8641e", "#2f7fb8"
"""Colours of the two curves of a run: the app's, darker, for a white ground."""

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
"""Ten colours of runs that stay apart (the categorical palette of Tableau)."""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def drawn(
    draw: Callable[[Figure], None], size: tuple[float, float], ending: str, instead: str = "export the metrics"
) -> bytes:
    """The file of a figure of this size, width and height in inches, that `draw` draws.

    `instead`: what can be had without matplotlib.

    Raises:
        UserError: matplotlib is not installed.
    """
    if not can_draw():
        hint = f"install it: pip install matplotlib, or {instead}"
        raise UserError(f"no {ending.upper()} can be drawn without matplotlib", hint)
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which looks for a screen

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tui-vae", "pdf.fonttype": 42}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        facts: dict[str, Any] = {"CreationDate": None} if ending == "pdf" else {"Date": None} if ending == "svg" else {}
        figure.savefig(buffer, format=ending, dpi=DOTS_PER_INCH, metadata=facts)
    return buffer.getvalue()


def literal(words: str) -> str:
    """Words as matplotlib is told them, which would take what stands between two dollars for a formula."""
    return words.replace("$", r"\$")


def plain_axes(axis: Axes, title: str = "") -> None:
    """A faint grid, and no frame above and at the right."""
    axis.set_title(title, fontsize="medium")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
