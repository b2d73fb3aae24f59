"""One job of a sweep on Slurm: it trains its run, and comes again after a time limit or a preemption."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tui_vae.cli.sweep.node import LOOK, Order, train_here
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import signal_trainer

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

STOP_LIMIT = 60.0
"""Seconds to wait for a checkpoint before the job comes again: mostly it is there within one."""


class ArrayTask:
    """What submitit calls in a job. `told`: the run to train."""

    def __init__(self, told: Order) -> None:
        self.told = told

    def __call__(self) -> str:
        """Train the run; gives its state at the end.

        Raises:
            SystemExit: it cannot be trained; Slurm says then that the job failed.
        """
        from submitit import JobEnvironment

        handler = signal.getsignal(JobEnvironment._usr_sig())  # SIGUSR2, by which submitit lets the job come again
        if callable(handler):
            signal.signal(signal.SIGUSR1, handler)  # for `--slurm signal=USR1@120`
        outcome = train_here(self.told)
        if outcome.message:
            print(f"tui-vae: {outcome.message}; {outcome.hint}", file=sys.stderr)
            raise SystemExit(1)
        if outcome.state not in ("finished", "stopped"):
            raise SystemExit(1)
        return outcome.state

    def checkpoint(self) -> DelayedSubmission:
        """Stop the run after a checkpoint, as the job ends soon; gives what it does when it comes again."""
        from submitit.helpers import DelayedSubmission

        directory = RunDirectory(Path(self.told.runs_dir) / str(self.told.config["name"]))
        deadline = time.monotonic() + STOP_LIMIT
        while directory.is_training() and time.monotonic() < deadline:
            signal_trainer(directory, signal.SIGTERM)
            time.sleep(LOOK)
        return DelayedSubmission(self)
