"""Weights & Biases, offline: `wandb sync` sends what lies in the run's folder `wandb` when somebody wants that.

`WANDB_MODE=online` sends it at once; the account is then whatever wandb itself finds.
"""

from __future__ import annotations

import os
from pathlib import Path

import wandb

from tui_vae.runs import events as ev
from tui_vae.runs.safe_files import make_own_folder
from tui_vae.trackers.figures import hyperparameters, of_epoch, of_step, sheet_of


class WeightsAndBiases:
    """Writes a run of wandb into a folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, run: ev.RunEvent) -> None:
        make_own_folder(self._folder)
        os.environ.setdefault("WANDB_MODE", "offline")
        self._run = wandb.init(
            project="tui-vae",
            name=run.name,
            id=f"{run.id}-{run.step}" if run.id else None,
            group=run.name,
            dir=str(self._folder.parent),  # it adds `wandb`
            config=hyperparameters(run),
            settings=wandb.Settings(silent=True, disable_git=True, save_code=False, x_disable_stats=True),
        )

    def report(self, event: ev.StepEvent) -> None:
        self._run.log(dict(of_step(event)), step=event.step)

    def epoch_ended(self, event: ev.EpochEvent) -> None:
        kl = [value for value in event.test.kl_per_dim if value is not None]
        figures = dict(of_epoch(event)) | ({"test/kl_per_dim": wandb.Histogram(kl)} if kl else {})
        self._run.log(figures, step=event.step)

    def preview(self, step: int, moment: float, sheet: tuple[tuple[bytes, ...], tuple[bytes, ...], int, int]) -> None:
        self._run.log({"previews": wandb.Image(sheet_of(*sheet).squeeze())}, step=step)

    def end(self, run: ev.RunEvent, last: ev.EpochEvent | None) -> None:
        self._run.finish()
