"""Keeps checkpoints of epochs' ends as training goes on; where that fails, training goes on all the same."""

from __future__ import annotations

import math
import time

from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.kept import KeepRule, keep, kept_epochs
from tui_vae.runs.write_errors import unwritable
from tui_vae.trainer.timers import CheckpointTimer, WarningLimit

KEEPING_SHARE = 0.05
"""The share of the time that checkpoints may take which are written in order to be kept: who asks for a history pays
something for it, but epochs of milliseconds must not wait for the disk."""


class CheckpointKeeper:
    """Keeps epochs of one run by the rule that its option `keep` states."""

    def __init__(self, directory: RunDirectory, log: ev.EventLog, keep: int | str, steps_per_epoch: int) -> None:
        self._directory = directory
        self._log = log
        self._rule = KeepRule.of(keep)
        self._steps_per_epoch = steps_per_epoch
        self._kept_at = -math.inf
        self._limit = WarningLimit()

    def due(self, progress: Progress, timer: CheckpointTimer) -> bool:
        """Whether the end of this epoch is worth a checkpoint of its own."""
        if self._rule is None or progress.evaluated % self._rule.every:
            return False
        # Who has named the epochs gets each of them, whatever that costs.
        return self._rule.most is None or timer.cost < KEEPING_SHARE * (time.monotonic() - self._kept_at)

    def complete(self, progress: Progress) -> None:
        """Keep the checkpoint that a process begins with, where the one before it was killed between the two."""
        if progress.evaluated not in kept_epochs(self._directory.files.kept):  # else `best` may be of a later epoch
            self.keep_epoch_end(progress)

    def keep_epoch_end(self, progress: Progress) -> None:
        """Keep `last`, which is of this progress, if it is of the end of a chosen epoch. A failure is a warning."""
        epoch, rule = progress.evaluated, self._rule
        if rule is None or epoch % rule.every or not 0 < progress.step == epoch * self._steps_per_epoch:
            return
        self._kept_at = time.monotonic()
        files = self._directory.files
        try:
            keep(files.kept, epoch, files.last, files.best, rule.most)
        except OSError as error:
            if self._limit.take("kept checkpoint"):
                wrong = unwritable(f"the kept checkpoint of epoch {epoch}", error, self._directory.path)
                self._log.write(ev.WarningEvent(message=wrong.message, hint=wrong.hint))
