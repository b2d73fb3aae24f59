"""Loading a run's weights in this process, for commands that look at one checkpoint once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tui_vae.cli.waiting import erase, waiting
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code

if TYPE_CHECKING:
    from tui_vae.runs.checkpoint_file import Progress
    from tui_vae.trainer.run_setup import LoadedRun


def load_trained(directory: RunDirectory, which: str | None) -> tuple[LoadedRun, Progress]:
    """The run with the weights of its checkpoint called `which`, or of its newest.

    Raises:
        NotTrusted: its model's code may not run; said before PyTorch takes its seconds.
        UserError: the checkpoint or the data cannot be loaded.
    """
    check_code(directory, which)
    with waiting("importing PyTorch") as say:
        from tui_vae.trainer.trained_run import load_trained_run

        say(f"reading the images and the weights of {directory.name}")
        return load_trained_run(directory, which, note)


def note(text: str) -> None:
    """Print a note for the user, on stderr."""
    erase()
    print(text, file=sys.stderr)
