"""The learning rate and β of the next step: their schedules, scaled by what people change while the run trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tui_vae.config import MAX_BETA, MAX_LR
from tui_vae.core.schedules import factor
from tui_vae.runs import protocol
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunError
from tui_vae.trainer.run_setup import LoadedRun

SAME = 1e-9
"""Relative difference below which two values are the same: rounding moves a product of scale and schedule by 1e-16."""


@dataclass(frozen=True)
class Change:
    """A value that a request has changed, as the log tells it: `command`, and the value before and after."""

    command: Literal["set lr", "set muon-lr", "set beta"]
    before: float
    after: float


class Hyperparameters:
    """The values in force at the current step of `progress`. Changes go into `progress`, and so into checkpoints."""

    def __init__(self, run: LoadedRun, progress: Progress) -> None:
        self._run = run
        self._progress = progress

    @property
    def lr(self) -> float:
        """The learning rate: the schedule of this stretch of epochs, times the scale that live changes have made."""
        config, steps_per_epoch = self._run.config, self._run.steps_per_epoch
        start = 0
        for epochs in self._progress.segments:
            share = (self._progress.step - start) / (epochs * steps_per_epoch)
            if share < 1:
                break
            start += epochs * steps_per_epoch
        return config.lr * factor(config.schedule, share) * self._progress.lr_scale

    @property
    def muon_ratio(self) -> float:
        """Muon's learning rate over Adam's."""
        config = self._run.config
        return config.muon_lr / config.lr * self._progress.muon_scale

    @property
    def muon_lr(self) -> float | None:
        """Muon's learning rate, which has the schedule of Adam's; None where Adam updates all parameters."""
        return self.lr * self.muon_ratio if self._run.config.optimizer == "muon" else None

    @property
    def beta(self) -> float:
        """β as the warm-up or cycle has it now."""
        return self._progress.beta * self._run.beta_share(self._progress.step)

    @property
    def rising_to(self) -> float | None:
        """The β that a warm-up or cycle still leads to; None where that is in force."""
        return self._progress.beta if self._run.beta_share(self._progress.step) < 1 else None

    def in_force(self) -> protocol.Done:
        """The reply that tells the values of the next step."""
        progress = self._progress
        return protocol.Done(
            epoch=progress.epoch, step=progress.step, lr=self.lr, muon_lr=self.muon_lr, beta=self.beta,
            rising_to=self.rising_to,
        )  # fmt: skip

    def apply(self, request: protocol.Set) -> list[Change]:
        """Put a request into force and return what it has changed: nothing where the values were in force already.

        Raises:
            RunError: Muon's learning rate is to be changed, and the run does without Muon.
        """
        if request.muon_lr is not None and self.muon_lr is None:
            raise RunError("muon-lr belongs to optimizer muon, and this run trains with adam", "change lr")
        changes = (self._change_lr(request), self._change_muon_lr(request), self._change_beta(request))
        return [change for change in changes if change is not None]

    def _change_lr(self, request: protocol.Set) -> Change | None:
        before = self.lr
        if request.lr is not None:
            after = request.lr
        elif request.lr_factor is not None:
            after = min(MAX_LR, before * request.lr_factor)
        else:
            return None
        if before == 0 or math.isclose(before, after, rel_tol=SAME):  # a cosine ends at 0, and no scale changes that
            return None
        self._progress.lr_scale *= after / before
        return Change("set lr", before, after)

    def _change_muon_lr(self, request: protocol.Set) -> Change | None:
        before, after = self.muon_lr, request.muon_lr
        if not before or after is None or math.isclose(before, after, rel_tol=SAME):
            return None
        self._progress.muon_scale *= after / before
        return Change("set muon-lr", before, after)

    def _change_beta(self, request: protocol.Set) -> Change | None:
        share, target = self._run.beta_share(self._progress.step), self._progress.beta
        if request.beta is not None:
            changed = request.beta / share if share > 0 else request.beta
        elif request.beta_factor is not None:
            changed = _scaled_beta(target, request.beta_factor)
        else:
            return None
        if math.isclose(target, changed, rel_tol=SAME):
            return None
        self._progress.beta = changed
        in_log = share or 1.0  # where a warm-up holds β at 0, the log says the β that it rises to
        return Change("set beta", target * in_log, changed * in_log if request.beta is None else request.beta)


def _scaled_beta(target: float, scale: float) -> float:
    if target == 0 and scale > 1:
        return protocol.FIRST_BETA
    return min(MAX_BETA, target * scale)
