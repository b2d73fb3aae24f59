"""The `step` events of a run's log: means over the steps since the one before."""

from __future__ import annotations

import math
import time

from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.trainer.gauges import Gauges
from tui_vae.trainer.hyperparameters import Hyperparameters
from tui_vae.trainer.learner import Means
from tui_vae.trainer.run_setup import LoadedRun
from tui_vae.trainer.timers import Stopwatch

STEP_EVENTS_A_SECOND = 10
"""The most `step` events that the log gets a second, whatever the speed: the contract of the log."""


class StepEvents:
    """Collects the means of steps, and writes them when it is time.

    `step_time`: runs while steps are made, and not during evaluations and pauses.
    """

    def __init__(
        self, log: ev.EventLog, run: LoadedRun, progress: Progress, hyperparameters: Hyperparameters,
        step_time: Stopwatch, gauges: Gauges,
    ) -> None:  # fmt: skip
        self._log = log
        self._run = run
        self._progress = progress
        self._hyperparameters = hyperparameters
        self._step_time = step_time
        self._gauges = gauges
        self._means = Means()
        self._written_at = -math.inf  # the first step is told at once: a person waits for it
        self._seconds_before = 0.0
        """What `step_time` said at the event before."""

    def add(self, means: Means) -> None:
        """Add the means of further steps."""
        self._means += means

    @property
    def is_due(self) -> bool:
        """Whether another event would keep to `STEP_EVENTS_A_SECOND`."""
        return time.monotonic() - self._written_at >= 1 / STEP_EVENTS_A_SECOND

    def write(self) -> None:
        """Write the event of the steps since the one before, if there were any."""
        means, self._means = self._means, Means()
        seconds = self._step_time.seconds - self._seconds_before
        self._seconds_before = self._step_time.seconds
        self._written_at = time.monotonic()
        if means.images:
            progress, run = self._progress, self._run
            in_epoch = progress.step - progress.evaluated * run.steps_per_epoch
            images = progress.evaluated * len(run.train) + min(in_epoch * run.config.batch_size, len(run.train))
            self._log.write(ev.StepEvent(
                epoch=progress.epoch, step=progress.step, images=images, loss=means.loss, recon=means.recon,
                kl=means.kl, lr=self._hyperparameters.lr, beta=self._hyperparameters.beta,
                images_per_s=means.images / seconds if seconds > 0 else None,
            ))  # fmt: skip
            self._gauges.write_if_due(progress.step)
