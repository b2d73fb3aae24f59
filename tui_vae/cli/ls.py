"""`tui-vae ls`: the runs and their newest figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from tui_vae.cli.tables import number, print_table
from tui_vae.errors import UserError
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.processes import lost_trainers
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import RunSummary, summarize_all
from tui_vae.ui.numbers import age

HEADS = ("name", "state", "epochs", "test loss", "MSE", "KL", "active", "device", "age")
WORDS = (0, 1, 7)
"""The columns that hold words; the others hold numbers."""


def ls(options: argparse.Namespace) -> int:
    """Print the runs, newest first.

    Raises:
        RunError: the runs directory cannot be read.
    """
    runs_dir = runs_directory(options.runs_dir)
    directories = list_runs(runs_dir)
    runs = summarize_all(directories)
    if options.json:
        groups = _seed_groups(directories)
        found = [_as_json(run, RunDirectory(runs_dir / run.name), groups.get(run.name, "")) for run in runs]
        print(json.dumps(found, indent=2))
    elif runs:
        print_table([HEADS, *map(_row, runs)], left=WORDS)
        for run in runs:
            if not run.readable:
                print(f"{run.name} cannot be read: {run.reason}")
            elif run.reason:
                print(f"{run.name} failed: {run.reason}")
    else:
        print(f"no runs in {runs_dir}; start one with: {advice.command('train', runs_dir)}")
    for pid in lost_trainers(runs_dir):
        what = "a trainer lives whose run has been deleted, or its disk taken away"
        print(f"{what}; end it with: kill {pid}", file=sys.stderr)
    return 0


def _as_json(run: RunSummary, directory: RunDirectory, group: str) -> dict[str, Any]:
    from tui_vae.runs.steering import read_steering
    from tui_vae.runs.tags import read_tags

    changes: list[Any] = []
    if run.readable:
        with suppress(OSError):  # it has been deleted meanwhile
            changes = read_steering(directory)
    kept = read_tags(directory)
    labels = {"tags": list(kept.tags), "group": kept.group or group}
    return {**asdict(run), "steered": [change.as_json() for change in changes], **labels}


def _seed_groups(directories: Sequence[RunDirectory]) -> dict[str, str]:
    from tui_vae.runs.tags import group_of_seeds

    configs = {}
    for directory in directories:
        with suppress(UserError):  # it cannot be read
            configs[directory.name] = directory.read_config()
    return group_of_seeds(configs)


def _row(run: RunSummary) -> tuple[str, ...]:
    if not run.readable:
        return run.name, run.state, *["-"] * (len(HEADS) - 3), age(run.age)
    state = ", ".join((run.state, *run.health))
    epochs = f"{run.epochs}/{run.planned}" if run.planned else "-"  # a run that waits in the queue has not said
    return (
        run.name, state, epochs, number(run.test_loss, ".2f"), number(run.mse, ".5f"),
        number(run.kl, ".2f"), number(run.active_units, "d"), run.device or "-", age(run.age),
    )  # fmt: skip
