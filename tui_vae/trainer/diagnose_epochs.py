"""Warnings in the log about what goes wrong in training, epoch by epoch, and the error where the weights diverge."""

from __future__ import annotations

import shlex
from typing import Any

import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.core.evaluation.forward import at_once, evaluation_mode, reconstruct
from tui_vae.core.evaluation.metrics import pixel_variance
from tui_vae.core.models.own import WrappedModel
from tui_vae.core.pixels import normalize
from tui_vae.errors import UserError
from tui_vae.runs import advice
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.health import DIVERGED, LOWER
from tui_vae.runs.valid_epochs import Epochs
from tui_vae.trainer.run_setup import LoadedRun
from tui_vae.trainer.symptoms import Diagnosis
from tui_vae.trainer.timers import WarningLimit

DECODED_IMAGES = 256
"""Test images whose reconstructions show whether the decoder makes the same picture of all."""

ALIKE = "all training images are alike, so that there is nothing to learn: train on others"
"""What to do about a run whose data have no variance. No symptom is looked for then."""

LOOKED_AT = 1000
"""Images that are compared at once: most sets differ among the first ones."""

FAR = 3.0
"""Decoded values beyond ±FAR are on another scale than [-1, 1], which an output without bounds leaves by less."""

LEAST_DARK = 0.1
"""Decoded values all above minus this are taken for those of a scale from 0, black."""

NEARLY_BLACK = -0.5
"""Images have dark pixels if their darkest is below this, on [-1, 1]."""


class Diverged(UserError):
    """The weights are not finite any more: no step mends them, and they must not be saved."""


def are_alike(images: Tensor) -> bool:
    """Whether all images `(N, …)` are the same one; a single image is like no other."""
    return len(images) > 1 and all(bool((part == images[:1]).all()) for part in torch.split(images, LOOKED_AT))


def diverged(directory: RunDirectory, run: LoadedRun, epoch: int) -> Diverged:
    """The error for weights that were found to have diverged in `epoch`."""
    return Diverged(
        f"{DIVERGED} in epoch {epoch}: they are no longer finite numbers, so training has ended",
        ALIKE if are_alike(run.train) else _with_lower_rate(directory, run.config),
    )


def _with_lower_rate(directory: RunDirectory, config: RunConfig) -> str:
    if directory.files.last.exists():
        resume = advice.of_run("resume", directory.path, options=["--lr-factor", f"{1 / LOWER:g}"])
        return f"go on from its last whole checkpoint with a lower learning rate: {resume}"
    lower = ["--lr", f"{config.lr / LOWER:.2g}"]
    if config.optimizer == "muon":
        lower += ["--muon-lr", f"{config.muon_lr / LOWER:.2g}"]
    return f"train it anew with a lower learning rate: {advice.another_like(directory.path, lower)}"


class SymptomReporter:
    """Logs a warning for each symptom that begins with an epoch. It goes on from where the checkpoint left off.

    Epochs may take 40 ms, and a symptom may come and go with a few of them: its warnings become rare then. A symptom
    that is still there when its quiet time ends is reported then. A pause, or the end, reports the rest.

    After a crash, epochs since the checkpoint are trained again, and would bring the same warnings: those that the log
    already holds are not written again.
    """

    def __init__(self, directory: RunDirectory, log: ev.EventLog, run: LoadedRun, progress: Progress) -> None:
        self._log = log
        self._run = run
        self._limit = WarningLimit()
        self._alike = are_alike(run.train)
        self._diagnosis = Diagnosis(lambda: pixel_variance(run.test), progress.diagnosis, len(run.test))
        newer = ev.LogTail(directory.files.events, progress.log_size).read_all()
        self._logged = {event.message for event in newer if isinstance(event, ev.WarningEvent)}
        if progress.diagnosis is None:
            self._replay(newer, progress.evaluated)

    def _replay(self, events: list[ev.AnyEvent], evaluated: int) -> None:
        """Diagnose the epochs of the whole log again: an older checkpoint holds no diagnosis."""
        epochs = Epochs[ev.EpochEvent](lambda event: event)
        for event in events:
            epochs.apply(event)
        for event in epochs.kept:
            if event.epoch <= evaluated:
                self._diagnosis.observe(event, lambda: None)
        for message in self._logged:
            self._diagnosis.assume_dead_decoder(message)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return self._diagnosis.state()

    def epoch_ended(self, event: ev.EpochEvent) -> None:
        """Diagnose a new epoch; write the warnings that are to be told now and are not in the log yet."""
        if event.epoch == 1:
            self._first_ended()
        if self._alike:
            return
        for finding in self._diagnosis.observe(event, self._decoded_variance, self._limit.take):
            self._write(finding.message, finding.hint)

    def _first_ended(self) -> None:
        """Say, once, that there is nothing to learn, or that a model of the user's own has images of another scale."""
        if self._alike:
            config = self._run.config
            self._write(ALIKE, f"see what they are: tui-vae data {shlex.quote(config.data_dir or config.dataset)}")
        elif isinstance(self._run.model, WrappedModel):
            low, high, darkest = self._decoded_range()
            if low < -FAR or high > FAR or (low > -LEAST_DARK and darkest < NEARLY_BLACK):
                where = f"{low:.2g}…{high:.2g}"
                self._write(f"the images of {self._run.config.model} lie in {where}; black is −1 and white is 1",
                            "end its decode in tanh, or in 2·sigmoid(…) − 1")  # fmt: skip

    def before(self, state: ev.RunState) -> None:
        """Unless training goes on, tell what has not been told: whoever looks at the run sees how it is now."""
        if state != "training":
            for finding in self._diagnosis.report_rest():
                self._limit.wrote(finding.symptom)
                self._write(finding.message, finding.hint)

    def _write(self, message: str, hint: str) -> None:
        if message not in self._logged:
            self._log.write(ev.WarningEvent(message=message, hint=hint))

    @torch.inference_mode()
    def _decoded_range(self) -> tuple[float, float, float]:
        """The lowest and the highest value that the network decodes of some test images, and the lowest of theirs."""
        model, images = self._run.model, self._run.test[: at_once(DECODED_IMAGES, self._run.model.pixels)]
        with evaluation_mode(model):
            x = normalize(images)
            decoded = model.decode(model.encode(x)[0])
        return float(decoded.min()), float(decoded.max()), float(x.min())

    def _decoded_variance(self) -> float:
        """The variance of a pixel over reconstructions of some test images."""
        return pixel_variance(reconstruct(self._run.model, self._run.test[:DECODED_IMAGES]).images)
