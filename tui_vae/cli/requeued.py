"""A run of a batch system's job: the job comes again after a time limit, a preemption or a lost node, and goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tui_vae.cli.same_run import check_same
from tui_vae.config import RunConfig
from tui_vae.config.end_command import allow_end_command
from tui_vae.errors import UsageError
from tui_vae.runs.create import failed_early
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.failures import last_error
from tui_vae.runs.history import read_history
from tui_vae.runs.summary import summarize


def run_of_before(runs_dir: Path, wanted: RunConfig, given: Iterable[str]) -> RunDirectory | None:
    """The run that an earlier start of this job made; None if there is none that is worth keeping.

    Raises:
        UsageError: the job has no name, or the run of that name was asked for something else.
    """
    if wanted.name is None:
        raise UsageError("--resume-if-exists needs a name to find the run by", "add --name")
    directory = RunDirectory(runs_dir / wanted.name)
    if not directory.config.is_file() or failed_early(directory):
        return None
    check_same(directory, wanted, given, "choose another --name")
    allow_end_command(wanted)  # given once more, as at the first start
    return directory


def is_done(directory: RunDirectory) -> bool:
    """Whether nothing is left to train, which is said; so that a job that comes again after the end does nothing.

    Raises:
        UserError: the run has failed: it would again.
    """
    state = summarize(directory).state
    if state == "failed":
        raise last_error(directory, read_history(directory.events))
    if state == "finished":
        print(f"run {directory.name!r} has finished already", file=sys.stderr)
    return state == "finished"
