"""Tables on a terminal; `ls`: the runs and their newest figures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from tui_vae.runs.directory import list_runs, runs_directory
from tui_vae.runs.summary import RunSummary, summarize_all

WIDEST = 1e6
"""From here on a figure is told with three digits and an exponent."""


def ls(options: argparse.Namespace) -> int:
    """The runs, newest first."""
    runs_dir = runs_directory(options.runs_dir)
    runs = summarize_all(list_runs(runs_dir))
    if options.json:
        print(json.dumps([asdict(run) for run in runs], indent=2))
        return 0
    if not runs:
        print(f"no runs in {runs_dir}; start one with: tui-vae train")
        return 0
    print_table(
        ("name", "state", "epochs", "test loss", "MSE", "KL", "active", "device", "age"), [_row(run) for run in runs]
    )
    return 0


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0, 1, 7)) -> None:
    """Columns as wide as their widest cell; numbers to the right, the columns in `left` to the left."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = (
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _row(run: RunSummary) -> tuple[str, ...]:
    return (
        run.name, run.state, f"{run.epochs}/{run.planned}", number(run.test_loss, ".2f"), number(run.mse, ".5f"),
        number(run.kl, ".2f"), number(run.active_units, "d"), run.device, _ago(run.age),
    )  # fmt: skip


def number(value: float | None, form: str) -> str:
    """A figure in a table; one that is too large for its column is shortened."""
    if value is None:
        return "-"
    return format(value, form) if abs(value) < WIDEST else f"{value:.3g}"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
