"""`tui-vae compare`: runs side by side, their figures and only those settings in which they differ."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from tui_vae.cli.listing import number
from tui_vae.config import option_name, toml_value
from tui_vae.config import options as all_options
from tui_vae.errors import UsageError
from tui_vae.runs.comparison import ACTIVE, FIGURES, LOSS, SECONDS, Contestant, contestant, differences, winners
from tui_vae.runs.directory import find_run, runs_directory

GAP = 2
MARK = "*"


def compare(options: argparse.Namespace) -> int:
    names = list(dict.fromkeys(options.names))
    if len(names) < 2:
        raise UsageError("there is nothing to compare one run with", "name two runs or more; tui-vae ls lists them")
    runs_dir = runs_directory(options.runs_dir)
    runs = [contestant(find_run(runs_dir, name)) for name in names]
    if options.json:
        print(as_json(runs))
    else:
        print_comparison(runs)
    return 0


def as_json(runs: Sequence[Contestant]) -> str:
    """A JSON array, an object a run: its state, the settings in which it differs, its best epoch's test metrics."""
    different = [each.name for each in differences([run.config for run in runs])]
    wins = {figure.name: winners(runs, figure) for figure in FIGURES}
    return json.dumps([_object(at, run, different, wins) for at, run in enumerate(runs)], indent=2)


def _object(at: int, run: Contestant, different: Sequence[str], wins: dict[str, set[int]]) -> dict[str, Any]:
    fields = [field for field in all_options() if run.config and option_name(field) in different]
    settings = {option_name(field): toml_value(field, getattr(run.config, field)) for field in fields}
    return {
        "name": run.name, "state": run.state, "epochs": run.epochs, "planned": run.planned,
        "settings": settings, "parameters": run.parameters, "seconds_per_epoch": run.seconds_per_epoch,
        "best_epoch": run.best.epoch if run.best else None,
        "test": msgspec.to_builtins(run.best.test) if run.best else None,
        "wins": [name for name, places in wins.items() if at in places],
    }  # fmt: skip


@dataclass(frozen=True)
class Cell:
    text: str
    best: bool = False


@dataclass(frozen=True)
class Line:
    """What is said of every run under one head."""

    head: str
    cells: tuple[Cell, ...]
    numbers: bool

    @property
    def decides(self) -> bool:
        return any(cell.best for cell in self.cells)


def lines_about(runs: Sequence[Contestant]) -> list[Line]:
    """Settings that differ, then how far each run is, then its figures."""
    lines = [
        Line(each.name, tuple(Cell(value or "-") for value in each.values), numbers=False)
        for each in differences([run.config for run in runs])
        if each.name != "epochs"  # how many are planned stands beside those that are done
    ]
    lines.append(Line("epochs", tuple(Cell(f"{run.epochs}/{run.planned}") for run in runs), numbers=True))
    if any(run.state != "finished" for run in runs):
        lines.append(Line("state", tuple(Cell(run.state) for run in runs), numbers=False))
    for figure in FIGURES:
        best, values = winners(runs, figure), [figure.value(run) for run in runs]
        marks = [MARK if at in best else " " * bool(best) for at in range(len(runs))]
        cells = (Cell(number(value, figure.form) + marks[at], at in best) for at, value in enumerate(values))
        lines.append(Line(figure.name, tuple(cells), numbers=True))
    return lines


def print_comparison(runs: Sequence[Contestant]) -> None:
    """A run a row where that fits; else a run a column, in as many blocks as are needed. The best is marked, and bold.

    Figures are those of each run's best epoch. To keep the rows, those that decide nothing may be left out.
    """
    width = shutil.get_terminal_size((80, 24)).columns
    lines = lines_about(runs)
    names = Line("run", tuple(Cell(run.name) for run in runs), numbers=False)
    undecided = [line for line in lines if line.head in (SECONDS.name, LOSS.name, ACTIVE.name) and not line.decides]
    left_out: list[Line] = []
    for line in (*sorted(undecided, key=lambda line: line.head == ACTIVE.name), None):
        table = _rows([names, *(each for each in lines if each not in left_out)])
        if max(map(len, table)) <= width or line is None:
            break
        left_out.append(line)
    if max(map(len, table)) > width:
        table, left_out = _blocks(names, lines, width), []
    console = Console(highlight=False, soft_wrap=True, no_color=not sys.stdout.isatty())
    for row in table:
        console.print(row)
    if any(line.decides for line in lines):
        console.print(f"{MARK} the best; figures are the test set's at each run's best epoch")
    if left_out:
        console.print(f"a wider terminal, or --json, also shows: {', '.join(line.head for line in left_out)}")


def _rows(columns: Sequence[Line]) -> list[Text]:
    widths = [max(len(line.head), *(len(cell.text) for cell in line.cells)) for line in columns]
    rows = [_row([Cell(line.head) for line in columns], widths, columns)]
    return rows + [_row(cells, widths, columns) for cells in zip(*(line.cells for line in columns), strict=True)]


def _row(cells: Sequence[Cell], widths: Sequence[int], columns: Sequence[Line]) -> Text:
    text = Text()
    for cell, width, line in zip(cells, widths, columns, strict=True):
        padded = cell.text.rjust(width) if line.numbers else cell.text.ljust(width)
        text.append(padded, "bold" if cell.best else "").append(" " * GAP)
    text.rstrip()
    return text


def _blocks(names: Line, lines: Sequence[Line], width: int) -> list[Text]:
    """Heads at the left, runs beside each other: as many as fit in a block."""
    left = max(len(line.head) for line in lines)
    columns = [max(len(line.cells[at].text) for line in (names, *lines)) for at in range(len(names.cells))]
    table: list[Text] = []
    first = 0
    while first < len(columns):
        last = first + 1
        while last < len(columns) and left + sum(GAP + each for each in columns[first : last + 1]) <= width:
            last += 1
        if table:
            table.append(Text())
        for line in (names, *lines):
            head = Text("" if line is names else line.head).append(" " * (left - len(line.head) * (line is not names)))
            for cell, room in zip(line.cells[first:last], columns[first:last], strict=True):
                head.append(" " * GAP).append(cell.text.rjust(room), "bold" if cell.best else "")
            table.append(head)
        first = last
    return table
