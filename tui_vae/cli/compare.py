"""`tui-vae compare`: runs side by side, with their figures and the settings in which they differ."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from tui_vae.cli.export import check_out, ending_of, write_out
from tui_vae.cli.run_properties import MARK, Cell, Property, properties_of
from tui_vae.cli.tables import GAP, padded
from tui_vae.config import option_name, toml_value
from tui_vae.config import options as all_options
from tui_vae.errors import UsageError
from tui_vae.plain_text import plain
from tui_vae.runs import advice
from tui_vae.runs.comparison import ACTIVE, FIGURES, LOSS, SECONDS, Candidate, candidate, differences, winners
from tui_vae.runs.directory import find_run
from tui_vae.runs.exports import COMPARISONS
from tui_vae.runs.runs_directory import runs_directory

DISPENSABLE = (LOSS.name, SECONDS.name, ACTIVE.name)
"""Figures that a narrow terminal may leave out where they have no winner, the first one first."""


def compare(options: argparse.Namespace) -> int:
    """Compare runs.

    Raises:
        UsageError: fewer than two runs are named.
        UserError: a run has done no epoch yet, or the file of `--out` cannot be written.
    """
    names, runs_dir = list(dict.fromkeys(options.names)), runs_directory(options.runs_dir)
    if len(names) < 2:
        hint = f"name two runs or more; see them: {advice.command('ls', runs_dir)}"
        raise UsageError("there is nothing to compare one run with", hint)
    directories = [find_run(runs_dir, name) for name in names]
    out = check_out(options.out, COMPARISONS, "a comparison", options.force) if options.out else None
    runs = [candidate(each) for each in directories]
    data = b""
    if out:  # before the table, whose reader may leave, as in `| head -1`
        from tui_vae.cli.compare_file import comparison_file

        data = comparison_file(directories, runs, ending_of(out, COMPARISONS))
        write_out(out, data)
    if options.json:
        print(as_json(runs))
    else:
        print_comparison(runs)
    if out:
        told = plain(f"{out}: {len(runs)} runs, {len(data):,} bytes")
        print(told, file=sys.stderr if options.json else sys.stdout)
    return 0


def as_json(runs: Sequence[Candidate]) -> str:
    """A JSON array, an object a run: its state, the settings in which it differs, its best epoch's test metrics."""
    return json.dumps(json_objects(runs), indent=2)


def json_objects(runs: Sequence[Candidate]) -> list[dict[str, Any]]:
    """The objects of `as_json`."""
    different = [each.name for each in differences([run.config for run in runs])]
    wins = {figure.name: winners(runs, figure) for figure in FIGURES}
    return [_object(at, run, different, wins) for at, run in enumerate(runs)]


def _object(at: int, run: Candidate, different: Sequence[str], wins: dict[str, set[int]]) -> dict[str, Any]:
    fields = [field for field in all_options() if run.config and option_name(field) in different]
    settings = {option_name(field): toml_value(field, getattr(run.config, field)) for field in fields}
    return {
        "name": run.name, "state": run.state, "health": run.health,
        "steered": [change.as_json() for change in run.steered], "epochs": run.epochs, "planned": run.planned,
        "settings": settings, "parameters": run.parameters, "seconds_per_epoch": run.seconds_per_epoch,
        "best_epoch": run.best.epoch if run.best else None,
        "test": msgspec.to_builtins(run.best.test) if run.best else None,
        "distortion": run.distortion,  # of that epoch; the rate is its KL
        "wins": [name for name, places in wins.items() if at in places],
    }  # fmt: skip


def print_comparison(runs: Sequence[Candidate]) -> None:
    """Print runs side by side; the best is marked, and bold.

    Figures are those of each run's best epoch. Some without a winner are left out if the rows fit without them.
    """
    found = properties_of(runs)
    names = Property("run", tuple(Cell(run.name) for run in runs), is_number=False)
    dispensable = {each.head for each in found if not each.has_winner}
    leave_out = [head for head in DISPENSABLE if head in dispensable]
    has_best = any(each.has_winner for each in found)
    print_properties([names, *found], leave_out, "figures are the test set's at each run's best epoch" * has_best)


def print_properties(found: Sequence[Property], leave_out: Sequence[str], about: str) -> None:
    """A run a row where that fits; else a run a column, in as many blocks as are needed.

    The first property names the runs. `leave_out`: the heads of what may be missing in a narrow terminal, the first one
    first; `about`: a line about the figures, which stands below them.
    """
    width = shutil.get_terminal_size().columns
    left_out: list[str] = []
    for head in (*leave_out, None):
        table = _a_run_a_row([each for each in found if each.head not in left_out])
        if max(map(len, table)) <= width or head is None:
            break
        left_out.append(head)
    if max(map(len, table)) > width:
        table, left_out = _a_run_a_column(found, width), []
    console = Console(highlight=False, soft_wrap=True, no_color=not sys.stdout.isatty())
    for line in table:
        console.print(line)
    if about:
        console.print((f"{MARK} the best; " if any(each.has_winner for each in found) else "") + about)
    if left_out:
        shown = [each.head for each in found if each.head in left_out]
        console.print(f"a wider terminal, or --json, also shows: {', '.join(shown)}")


def _a_run_a_row(columns: Sequence[Property]) -> list[Text]:
    rows = [tuple(Cell(each.head) for each in columns), *zip(*(each.cells for each in columns), strict=True)]
    left = [at for at, each in enumerate(columns) if not each.is_number]
    lines = [_line(row) for row in _pad_cells(rows, left)]
    for line in lines:
        line.rstrip()
    return lines


def _a_run_a_column(lines: Sequence[Property], width: int) -> list[Text]:
    """Heads at the left, runs beside each other: as many as fit in a block. The first line, of names, has no head."""
    rows = _pad_cells([(Cell(each.head if at else ""), *each.cells) for at, each in enumerate(lines)], left=(0,))
    head, *columns = (len(cell.text) for cell in rows[0])
    table: list[Text] = []
    first = 0
    while first < len(columns):
        last = first + 1
        while last < len(columns) and head + sum(len(GAP) + each for each in columns[first : last + 1]) <= width:
            last += 1
        if table:
            table.append(Text())
        table += [_line((row[0], *row[first + 1 : last + 1])) for row in rows]
        first = last
    return table


def _pad_cells(rows: Sequence[Sequence[Cell]], left: Sequence[int]) -> list[list[Cell]]:
    texts = padded([[cell.text for cell in row] for row in rows], left)
    return [
        [Cell(text, cell.best) for text, cell in zip(line, row, strict=True)]
        for line, row in zip(texts, rows, strict=True)
    ]


def _line(cells: Sequence[Cell]) -> Text:
    return Text(GAP).join(Text(cell.text, "bold" if cell.best else "") for cell in cells)
