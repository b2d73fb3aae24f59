"""What a sweep has found: its runs side by side, or, where seeds vary, mean and spread of each combination's runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tui_vae.cli.compare import as_json, json_objects, print_comparison, print_properties
from tui_vae.cli.run_properties import MARK, Cell, Property
from tui_vae.cli.tables import number
from tui_vae.runs.comparison import ACTIVE, FIGURES, LOSS, SECONDS, Candidate, Figure
from tui_vae.runs.seed_groups import SeedGroup, best_groups, seed_groups

JSON_NAMES = {"test loss": "loss", "bits/px": "elbo_bpd", "KL": "kl", "active": "active_units",
              "s/epoch": "seconds_per_epoch"}  # fmt: skip
"""The names of figures in JSON, where they are not those of the tables: as in the events."""


def print_results(name: str, runs: Sequence[Candidate], varied: Sequence[str]) -> None:
    """`name`: the sweep's; `varied`: its options with several values."""
    if "seed" not in varied:
        if len(runs) > 1:
            print()
            print_comparison(runs)
        return
    groups = seed_groups(runs, [each for each in varied if each != "seed"])
    if any(group.finished for group in groups):
        print()
        print_properties(
            _columns(name, groups), [LOSS.name, SECONDS.name, ACTIVE.name],
            "mean ± sample standard deviation over n seeds; figures are the test set's at each run's best epoch",
        )  # fmt: skip


def results_json(runs: Sequence[Candidate], varied: Sequence[str]) -> str:
    """A JSON array: an object a run; where seeds vary, an object a combination of the other values."""
    if "seed" not in varied:
        return as_json(runs)
    by_name = {each["name"]: each for each in json_objects(runs)}
    groups = seed_groups(runs, [each for each in varied if each != "seed"])
    return json.dumps([_object(group, by_name) for group in groups], indent=2)


def _object(group: SeedGroup, by_name: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "settings": dict(group.settings),
        "n": len(group.finished),
        "seeds": [run.config.seed for run in group.finished if run.config],
        "mean": {JSON_NAMES.get(each.name, each.name): group.mean(each) for each in FIGURES},
        "spread": {JSON_NAMES.get(each.name, each.name): group.spread(each) for each in FIGURES},
        "runs": [by_name[run.name] for run in group.runs],
    }


def _columns(name: str, groups: Sequence[SeedGroup]) -> list[Property]:
    labels = [", ".join(f"{option} {value}" for option, value in group.settings) or name for group in groups]
    found = [Property("settings", tuple(Cell(label) for label in labels), is_number=False)]
    counts = [f"{len(group.finished)}/{len(group.runs)}" for group in groups]
    if all(len(group.finished) == len(group.runs) for group in groups):
        counts = [str(len(group.runs)) for group in groups]
    found.append(Property("n", tuple(Cell(count) for count in counts), is_number=True))
    return found + [_figure_column(figure, groups) for figure in FIGURES]


def _figure_column(figure: Figure, groups: Sequence[SeedGroup]) -> Property:
    best = best_groups(groups, figure)
    form = ".1f" if figure is ACTIVE else figure.form
    cells = []
    for at, group in enumerate(groups):
        text = number(group.mean(figure), form)
        if (spread := group.spread(figure)) is not None:
            text += f" ± {number(spread, form)}"
        cells.append(Cell(text + (MARK if at in best else " " * bool(best)), at in best))
    return Property(figure.name, tuple(cells), is_number=True)
