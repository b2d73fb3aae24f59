"""Keeps checkpoints of epochs' ends as training goes on; where that fails, training goes on all the same."""

from __future__ import annotations

import math
import time

from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.kept import keep
from tui_vae.runs.write_errors import unwritable
from tui_vae.trainer.preview_writer import WARN_EVERY

KEEPING_SHARE = 0.05
"""The share of the time that checkpoints may take which are written in order to be kept: who asks for a history pays
something for it, but epochs of milliseconds must not wait for the disk."""


class CheckpointKeeper:
    """Keeps `most` epochs of one run; none where that is 0."""

    def __init__(self, directory: RunDirectory, log: ev.EventLog, most: int, steps_per_epoch: int) -> None:
        self._directory = directory
        self._log = log
        self._most = most
        self._steps_per_epoch = steps_per_epoch
        self._kept_at = self._warned_at = -math.inf

    def due(self, cost: float) -> bool:
        """Whether an epoch's end is worth a checkpoint of its own, where writing one takes `cost` seconds."""
        return self._most > 0 and cost < KEEPING_SHARE * (time.monotonic() - self._kept_at)

    def keep_epoch_end(self, progress: Progress) -> None:
        """Keep the checkpoint that was just written, if it is of an epoch's end. A failure is a warning in the log."""
        epoch = progress.evaluated
        if not self._most or not 0 < progress.step == epoch * self._steps_per_epoch:
            return
        self._kept_at = time.monotonic()
        files = self._directory.files
        try:
            keep(files.kept, epoch, files.last, files.best, self._most)
        except OSError as error:
            if time.monotonic() - self._warned_at > WARN_EVERY:
                self._warned_at = time.monotonic()
                wrong = unwritable(f"the kept checkpoint of epoch {epoch}", error, self._directory.path)
                self._log.write(ev.WarningEvent(message=wrong.message, hint=wrong.hint))
