"""Whether training goes wrong, looked at after every epoch: warnings in the log, each when its cause begins."""

from __future__ import annotations

import shlex

from tui_vae.config import RunConfig
from tui_vae.core.evaluation.forward import reconstruct
from tui_vae.core.evaluation.metrics import pixel_variance
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.trainer.diagnosis import Diagnosis
from tui_vae.trainer.run_setup import LoadedRun

LOOKED_AT = 256
"""Test images whose reconstructions show whether they are all the same."""

LOWER = 10
"""A rate that diverged is far too high: a third of it often only diverges later."""


class Diverged(UserError):
    """The weights are no numbers any more: no step mends them, and there is nothing to write down."""


def diverged(directory: RunDirectory, config: RunConfig, epoch: int, lr: float) -> Diverged:
    """What to say in this epoch, in which the learning rate was `lr` when the weights were found broken."""
    name = shlex.quote(directory.name)
    if directory.last.exists():
        what = f"tui-vae resume {name} && tui-vae set {name} lr={lr / LOWER:.2g} goes on from its last whole checkpoint"
    else:
        config_file = shlex.quote(str(directory.config))
        what = f"tui-vae train --config {config_file} --name {name[:62]}-2 --lr {config.lr / LOWER:.2g} trains it anew"
    return Diverged(
        f"the weights diverged in epoch {epoch}: they are no longer finite numbers, so training has ended",
        f"a lower learning rate may help: {what}",
    )


class EpochWatch:
    """Continues where the log left off: what has been said before `step` and still lasts is not said again."""

    def __init__(self, directory: RunDirectory, log: ev.EventLog, run: LoadedRun, step: int) -> None:
        self._log = log
        self._run = run
        self._diagnosis = Diagnosis(pixel_variance(run.test))
        history = read_history(directory.events)
        for event in history.epochs:
            if event.step <= step:
                self._diagnosis.observe(event, lambda: None)
        self._said = {message.message for message in history.messages if isinstance(message, ev.WarningEvent)}
        for message in self._said:
            self._diagnosis.assume_dead_decoder(message)

    def epoch_ended(self, event: ev.EpochEvent) -> None:
        """Write a warning for everything that has begun with this epoch."""
        for finding in self._diagnosis.observe(event, self._decoded_variance):
            if finding.message not in self._said:  # a crash may have lost the epoch, not the word about it
                self._log.write(ev.WarningEvent(message=finding.message, hint=finding.hint))

    def _decoded_variance(self) -> float:
        return pixel_variance(reconstruct(self._run.model, self._run.test[:LOOKED_AT]).images)
