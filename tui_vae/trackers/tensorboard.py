"""TensorBoard: scalars, KL per dimension as histograms, previews as images, the options as hyperparameters.

Each start of a run's trainer writes into a folder of its own, `from-step-N`: a reader that is open follows the newest
file of a folder alone, and two writers in one would hide each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from tui_vae.runs import events as ev
from tui_vae.runs.safe_files import make_own_folder
from tui_vae.trackers.figures import hyperparameters, of_epoch, of_step, sheet_of

FLUSH_SECONDS = 5
"""Seconds after which what was written is on the disk, where an open TensorBoard finds it."""


class TensorBoard:
    """Writes event files into a folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, run: ev.RunEvent) -> None:
        make_own_folder(self._folder)
        mine = self._folder / f"from-step-{run.step}"
        make_own_folder(mine)
        self._writer = SummaryWriter(str(mine), flush_secs=FLUSH_SECONDS)

    def report(self, event: ev.StepEvent) -> None:
        for name, value in of_step(event):
            self._writer.add_scalar(name, value, event.step, walltime=event.t)

    def epoch_ended(self, event: ev.EpochEvent) -> None:
        for name, value in of_epoch(event):
            self._writer.add_scalar(name, value, event.step, walltime=event.t)
        kl = np.array([value for value in event.test.kl_per_dim if value is not None])
        if len(kl):
            self._writer.add_histogram("test/kl_per_dim", kl, event.step, walltime=event.t)

    def preview(self, step: int, moment: float, sheet: tuple[tuple[bytes, ...], tuple[bytes, ...], int, int]) -> None:
        self._writer.add_image("previews", sheet_of(*sheet), step, walltime=moment, dataformats="HWC")

    def end(self, run: ev.RunEvent, last: ev.EpochEvent | None) -> None:
        figures = {name: value for name, value in of_epoch(last) if name.startswith("test/")} if last else {}
        self._writer.add_hparams(hyperparameters(run), figures, name="options", global_step=last.step if last else 0)
        self._writer.close()
