"""The best weights of a run, by a figure of the test images, from the end of their epoch until they are written."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from tui_vae.core.evaluation.metrics import Evaluation
from tui_vae.runs.best_figure import best_figure
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.trainer.learner import Learner


class BestWeights:
    """Keeps the weights with the lowest test figure that best goes by.

    Attributes:
        unwritten: how far the run had come then, and its weights, under their names in a checkpoint; None once they
            are written.
    """

    def __init__(self, learner: Learner, progress: Progress, best_by: str) -> None:
        self.unwritten: tuple[Progress, dict[str, Tensor]] | None = None
        self._learner, self._progress, self._best_by = learner, progress, best_by

    def epoch_ended(self, test: Evaluation) -> None:
        """Keep the present weights if this evaluation is the best so far, and count the epochs since the best."""
        progress, figure = self._progress, best_figure(test, self._best_by)
        progress.since_best += 1
        if figure is not None and math.isfinite(figure) and (progress.best_loss is None or figure < progress.best_loss):
            progress.best_loss, progress.since_best = figure, 0
            then = replace(progress, segments=[*progress.segments], diagnosis=None, log_size=0)
            self.unwritten = then, self._learner.copied_weights()
