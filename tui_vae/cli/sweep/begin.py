"""Begin one run of a sweep, on the machine that trains it: a new one, or where it was stopped."""

from __future__ import annotations

import time
from contextlib import suppress

from tui_vae.config import RunConfig
from tui_vae.runs.create import create_run, failed_early
from tui_vae.runs.directory import HOLDER_PAUSE, RunDirectory
from tui_vae.runs.launch import continue_training, start_training
from tui_vae.runs.summary import summarize
from tui_vae.runs.tags import Tags, write_tags

TURNING = 10.0
"""Seconds to wait until a process that served a run trains it."""

TRAINING, ANEW = "training", "failed before its first step, trained anew"
"""What was done, in words for the report; of a run that is continued they say what it was."""


def begin(directory: RunDirectory, wanted: RunConfig, group: str, tied: bool = False) -> str:
    """Train a run that is not finished, and say what was done: `TRAINING`, `ANEW`, or that it goes on.

    `wanted`: what a new one is asked to do; `group`: that it belongs to. `tied`: its process stops after a checkpoint
    when this one has gone.

    Raises:
        UserError: it cannot be started.
    """
    if not directory.config.is_file():
        create_run(directory.path.parent, wanted)
        with suppress(OSError):  # a full disk: the run says so itself
            write_tags(directory, Tags(group=group))
        start_training(directory, tied=tied)
        return TRAINING
    if failed_early(directory):
        create_run(directory.path.parent, directory.read_config())
        start_training(directory, tied=tied)
        return ANEW
    state = summarize(directory).state
    continue_training(directory, tied=tied)
    deadline = time.monotonic() + TURNING
    while (holder := directory.holder()) and holder.mode == "serve" and time.monotonic() < deadline:
        time.sleep(HOLDER_PAUSE)  # a process that served the run begins to train it a moment after its answer
    return f"was {state}, goes on"
