"""The processes that train one run together, as the one that leads them sees them. Usually it is alone."""

from __future__ import annotations

from typing import NamedTuple

from tui_vae.config import RunConfig
from tui_vae.core.data.datasets import Dataset
from tui_vae.core.ranks import ALONE, Ranks
from tui_vae.trainer.learner import Learner


class Order(NamedTuple):
    """A step that all ranks take: the batch's place, and the hyperparameters that hold for it.

    epoch: counted from 0. batch: within the epoch.
    """

    epoch: int
    batch: int
    lr: float
    beta: float
    muon_ratio: float


class Crew:
    """A crew of one: whom there is nobody to tell anything."""

    ranks: Ranks = ALONE

    def told(self, config: RunConfig) -> None:
        """The others may begin to load what is to be trained."""

    def on_my_device(self, config: RunConfig) -> RunConfig:
        """The configuration as it holds for this process: its own device, its part of the threads."""
        return config

    def begin(self, learner: Learner, dataset: Dataset) -> None:
        """All learners are there, and get the state of this one.

        Raises:
            UserError: the others have found other images.
        """

    def give(self, order: Order) -> None:
        """The others take this step, which the caller takes too."""


NO_CREW = Crew()
