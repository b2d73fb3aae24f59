"""Curves over epochs and the rate-distortion plane as figures for a paper, of one run or of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from tui_vae.cli.plots import COLOURS, TEST, TRAIN, drawn, plain_axes
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import History, read_history
from tui_vae.runs.rate_distortion import rate_distortion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("elbo_bpd", "negative ELBO, bits a pixel"),
    ("mse", "mse at z = μ, a pixel on [0, 1]"),
    ("recon", "reconstruction, an image on [-1, 1]"),
    ("kl", "KL, nats an image"),
    ("loss", "loss"),
    ("active_units", "active units"),
)
"""A panel each: a figure of an epoch, and what it is called."""

ROWS, COLUMNS = 2, 3

SIZE, PLANE_SIZE = (10.0, 5.6), (6.4, 4.8)
"""Inches: as wide as a page of two columns, and as a part of it."""

MOST_NAMED = 12
"""Runs that a legend names; with more it would hide the curves."""

STEEP_START = 0.2
"""The share of a path, its first epochs, that may lie outside the plane: they are far from all the others."""

MARGIN, LEAST_MARGIN = 0.06, 1e-3
"""Room around the paths, as a share of their extent and of their values."""

CONTOURS = 7
"""Lines of one ELBO, about."""

LARGEST = 1e100
"""Figures beyond are left out, as those that are not finite: the arithmetic of axes overflows near the largest float.
No training gets there, which counts in floats of 32 bits."""

Points = Sequence[tuple[float, float]]


def curves(directory: RunDirectory, ending: str) -> bytes:
    """Test and training curves over epochs.

    Raises:
        UserError: matplotlib is not installed. RunError: no epoch is done yet.
    """
    return drawn(partial(_draw_run, directory.name, _read(directory)), SIZE, ending)


def plane(directory: RunDirectory, ending: str) -> bytes:
    """The path of a run in the plane of rate (KL) and distortion, of its training and its test images.

    Raises:
        UserError: matplotlib is not installed. RunError: no epoch is done yet, or its figures are not finite.
    """
    history = _read(directory)
    paths = {side: _path(history, side) for side in ("train", "test")}
    if not any(paths.values()):
        raise RunError(f"run {directory.name!r} has no finite rate and distortion", "see what it has: --what metrics")

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        _draw_plane(axis, [(name, paths[name], colour) for name, colour in (("train", TRAIN), ("test", TEST))],
                    _pixels([history]))  # fmt: skip
        axis.legend(frameon=False)
        figure.suptitle(directory.name)

    return drawn(draw, PLANE_SIZE, ending)


def compared(directories: Sequence[RunDirectory], ending: str) -> bytes:
    """The test curves of several runs, and their paths in the plane of rate and distortion in place of the loss, which
    means something else in each objective.

    Raises:
        UserError: as `curves`.
    """
    histories = {directory.name: _read(directory) for directory in directories}
    return drawn(partial(_draw_runs, histories), SIZE, ending)


def _read(directory: RunDirectory) -> History:
    history = read_history(directory.events)
    if not history.epochs:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    return history


def _draw_run(name: str, history: History, figure: Figure) -> None:
    axes = figure.subplots(ROWS, COLUMNS).flat
    for axis, (field, words) in zip(axes, PANELS, strict=True):
        for side, colour in (("train", TRAIN), ("test", TEST)):
            _draw_curve(axis, history, side, field, colour, side)
        _over_epochs(axis, words)
    figure.supxlabel("epoch")
    figure.axes[0].legend(frameon=False)
    figure.suptitle(name)


def _draw_runs(histories: dict[str, History], figure: Figure) -> None:
    axes = list(figure.subplots(ROWS, COLUMNS).flat)
    panels = [panel for panel in PANELS if panel[0] != "loss"]
    for axis, (field, words) in zip(axes, panels, strict=False):
        for at, (name, history) in enumerate(histories.items()):
            _draw_curve(axis, history, "test", field, COLOURS[at % len(COLOURS)], name)
        _over_epochs(axis, words)
        axis.set_xlabel("epoch")
    paths = [(name, _path(history, "test"), COLOURS[at % len(COLOURS)])
             for at, (name, history) in enumerate(histories.items())]  # fmt: skip
    _draw_plane(axes[-1], paths, _pixels(histories.values()))
    if len(histories) <= MOST_NAMED:
        axes[0].legend(frameon=False)
    figure.suptitle("on the test sets")


def _draw_curve(axis: Axes, history: History, side: str, field: str, colour: str, name: str) -> None:
    values = [getattr(getattr(event, side), field) for event in history.epochs]
    axis.plot([event.epoch for event in history.epochs], [each if _can_be_drawn(each) else math.nan for each in values],
              color=colour, label=name, marker="." if len(values) < 2 else None)  # fmt: skip


def _can_be_drawn(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < LARGEST


def _over_epochs(axis: Axes, title: str) -> None:
    from matplotlib.ticker import AutoLocator

    plain_axes(axis, title)
    whole = AutoLocator()
    whole.set_params(integer=True)
    axis.xaxis.set_major_locator(whole)


def _path(history: History, side: str) -> Points:
    """(rate, distortion) of each epoch whose are finite, nats an image."""
    metrics: list[ev.Metrics] = [getattr(event, side) for event in history.epochs]
    found = (rate_distortion(each.elbo_bpd, each.kl, _pixels([history])) for each in metrics)
    return [point for point in found if point is not None and all(map(_can_be_drawn, point))]


def _pixels(histories: Iterable[History]) -> int | None:
    return next((each.run.dataset.pixels for each in histories if each.run is not None), None)


def _draw_plane(axis: Axes, paths: Sequence[tuple[str, Points, str]], pixels: int | None) -> None:
    """Paths by name, each with its colour and a dot at its end, above faint lines along which the ELBO is the same."""
    late: list[tuple[float, float]] = []
    for name, points, colour in paths:
        if points:
            axis.plot(*zip(*points, strict=True), color=colour, label=name, marker="o", markevery=[len(points) - 1])
            late += points[int(len(points) * STEEP_START) :]
    plain_axes(axis, "rate and distortion, nats an image\n(grey: one ELBO, bits a pixel)")
    axis.set_xlabel("rate: KL")
    axis.set_ylabel("distortion")
    if late and pixels:
        for set_limits, values in ((axis.set_xlim, [x for x, _ in late]), (axis.set_ylim, [y for _, y in late])):
            low, high = min(values), max(values)
            room = MARGIN * (high - low) or LEAST_MARGIN * max(1.0, abs(high))
            set_limits(low - room, high + room)
        _draw_contours(axis, pixels * math.log(2))


def _draw_contours(axis: Axes, nats: float) -> None:
    """Lines of one negative ELBO, which each ends in bits a pixel, of which an image has so many nats."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for bits in MaxNLocator(CONTOURS).tick_values((left + bottom) / nats, (right + top) / nats):
        total = float(bits) * nats
        if left + bottom < total < right + top:
            axis.axline((left, total - left), slope=-1, color="#bbbbbb", linewidth=0.6, zorder=0)
            x = max(left, total - top)
            axis.text(x, total - x, f" {bits:.4g}", fontsize="x-small", color="#888888", va="top", clip_on=True)
