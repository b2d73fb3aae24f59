"""Runs side by side as a table of texts: the settings in which they differ, how far each is, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui_vae.cli.tables import number
from tui_vae.runs.comparison import FIGURES, Candidate, differences, winners

MARK = "*"
"""Beside the best value of a figure."""


class Cell(NamedTuple):
    """A text of the table. `best`: whether it is marked as the best of its figure."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Property:
    """A setting or a figure of all runs, a cell a run."""

    head: str
    cells: tuple[Cell, ...]
    is_number: bool

    @property
    def has_winner(self) -> bool:
        """Whether a run is better in it than another one."""
        return any(cell.best for cell in self.cells)


def properties_of(runs: Sequence[Candidate]) -> list[Property]:
    """Settings that differ, then how far each run is, then its figures."""
    found = [
        Property(each.name, tuple(Cell(value or "-") for value in each.values), is_number=False)
        for each in differences([run.config for run in runs])
        if each.name != "epochs"  # the number planned is shown beside the number done
    ]
    found.append(Property("epochs", tuple(Cell(f"{run.epochs}/{run.planned}") for run in runs), is_number=True))
    if any(run.state != "finished" or run.health for run in runs):
        states = (Cell(", ".join((run.state, *run.health))) for run in runs)
        found.append(Property("state", tuple(states), is_number=False))
    if any(run.steered for run in runs):
        changes = (Cell(", ".join(map(str, run.steered)) or "-") for run in runs)
        found.append(Property("steered", tuple(changes), is_number=False))
    for figure in FIGURES:
        best, values = winners(runs, figure), [figure.value(run) for run in runs]
        marks = [MARK if at in best else " " * bool(best) for at in range(len(runs))]
        cells = (Cell(number(value, figure.form) + marks[at], at in best) for at, value in enumerate(values))
        found.append(Property(figure.name, tuple(cells), is_number=True))
    return found
