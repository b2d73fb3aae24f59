"""The queue of runs: each begins when the one before it trains no more (`train --after RUN`).

Nothing keeps the queue but the runs in it: the process of each waits, and its log says behind which run.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tui_vae.runs.directory import RunDirectory, RunError, list_runs
from tui_vae.runs.summary import RunSummary, summarize


def end_of_queue(run: RunDirectory) -> RunDirectory:
    """The run that waits last behind this one; the run itself where none does."""
    waiting = {summary.after: each for each, summary in _living(run.path.parent) if summary.after}
    seen = {run.name}
    while (behind := waiting.get(run.name)) is not None and behind.name not in seen:
        seen.add(behind.name)
        run = behind
    return run


def to_wait_for(runs_dir: Path) -> RunDirectory | None:
    """The run behind which a new one would wait: the end of the queue behind the newest that trains; None without one.

    Raises:
        RunError: the directory cannot be read.
    """
    training = next((each for each, summary in _living(runs_dir) if not summary.after), None)
    return end_of_queue(training) if training else None


def _living(runs_dir: Path) -> list[tuple[RunDirectory, RunSummary]]:
    """The runs that a process trains, or for which one waits, the newest first."""
    found = []
    for run in list_runs(runs_dir):
        with suppress(RunError):
            if run.is_training():
                found.append((run, summarize(run)))
    return found
