"""One job of a sweep on Slurm: it trains its run, and comes again after a time limit or a preemption."""

from __future__ import annotations

import os
import signal
import subprocess
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


ANSWER = 30.0
"""Seconds within which Slurm must say what it thinks of a job."""


def is_wanted() -> bool:
    """Whether Slurm still counts its job as running: it is preempted then, and not cancelled, if it was told to end."""
    number = os.environ.get("SLURM_JOB_ID", "")
    if not number.isdecimal():
        return False
    try:
        command = ["scontrol", "--oneliner", "show", "job", number]
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER)  # noqa: S603  # a number
    except (OSError, subprocess.TimeoutExpired):
        return False
    return " JobState=RUNNING " in found.stdout


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

        come_again = signal.getsignal(JobEnvironment._usr_sig())  # of submitit: it saves, and lets the job come again
        if callable(come_again):
            signal.signal(signal.SIGUSR1, come_again)  # for `--slurm signal=USR1@120`; its own is SIGUSR2
        ended: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))  # which the trainer gets as well
        outcome = train_here(self.told)
        if ended and outcome.state == "stopped" and callable(come_again) and is_wanted():
            come_again(signal.SIGTERM, None)
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
