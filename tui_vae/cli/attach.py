"""`tui-vae` and `tui-vae attach`: open the app."""

from __future__ import annotations

import argparse

from tui_vae.runs.directory import list_runs
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import summarize_all
from tui_vae.runs.trust import find_to_load


def open_app(options: argparse.Namespace) -> int:
    """Open the app on the living run if there is exactly one, else on its start screen.

    Raises:
        UserError: the runs directory cannot be read, or the terminal does not suit the app.
    """
    from tui_vae.ui.open_app import run

    runs_dir = runs_directory(options.runs_dir)
    living = [directory for directory in list_runs(runs_dir) if directory.is_training()]
    if len(living) > 1:  # those that wait for their turn count only where none trains
        waiting = {summary.name for summary in summarize_all(living) if summary.after}
        living = [each for each in living if each.name not in waiting]
    found = living[0].name if len(living) == 1 else None
    return run(runs_dir, found, options.color, options.warm, options.theme)


def attach(options: argparse.Namespace) -> int:
    """Open the app on one run.

    Raises:
        RunError: there is no such run.
    """
    from tui_vae.ui.open_app import run

    runs_dir = runs_directory(options.runs_dir)
    name = find_to_load(runs_dir, options.name, options.trust).name
    return run(runs_dir, name, options.color, options.warm, options.theme)
