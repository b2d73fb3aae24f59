"""`tui-vae verify`: every file of a run checked, or of all runs. It only reads."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from tui_vae.cli.tables import print_table
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory, find_run, list_runs
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.verify import Check, verify_run
from tui_vae.ui.terminal import legible


def verify(options: argparse.Namespace) -> int:
    """Print a line for each file. Exit code 1 where one is wrong.

    Raises:
        RunError: there is no such run.
    """
    runs_dir = runs_directory(options.runs_dir)
    runs = list_runs(runs_dir)
    if options.name is not None:
        runs = [run for run in runs if run.name == options.name] or [find_run(runs_dir, options.name)]
    found = [(run, verify_run(run)) for run in runs]
    wrong = [run for run, checks in found if not all(check.ok for check in checks)]
    if options.json:
        facts = [{"run": run.name, "path": str(run.path), "ok": run not in wrong, "checks": list(map(asdict, checks))}
                 for run, checks in found]  # fmt: skip
        print(json.dumps(facts, indent=2))
    elif found:
        for run, checks in found:
            _print(run, checks)
        if len(found) > 1:
            print(f"{len(found)} runs, {len(wrong)} with something wrong")
    else:
        print(f"no runs in {runs_dir}; start one with: {advice.command('train', runs_dir)}")
    return 1 if wrong else 0


def _print(run: RunDirectory, checks: list[Check]) -> None:
    bad = sum(not check.ok for check in checks)
    wrong = "1 thing is wrong" if bad == 1 else f"{bad} things are wrong"
    print(f"{run.name}: {wrong if bad else 'all is well'}")
    rows = []
    for check in checks:
        mark = legible("✓" if check.ok else "✗")
        rows.append((mark, check.file, f"{check.found}; {check.hint}" if check.hint else check.found))
    print_table(rows, left=(0, 1, 2))
