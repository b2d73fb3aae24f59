"""The rank that trains as one process does: it writes the log and the checkpoints, and gives the orders."""

from __future__ import annotations

import math
from pathlib import Path

from tui_vae.config import RunConfig
from tui_vae.config.own_code import allow_digest
from tui_vae.core.data.datasets import Dataset
from tui_vae.core.devices import Cores
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.trainer.crew import Crew, Order
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import set_up_training
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.several.group import END, Group
from tui_vae.trainer.several.lines import Line, Loaded, Trouble, Welcome
from tui_vae.trainer.training import Training


class LeaderCrew(Crew):
    """The crew of the rank that leads."""

    def __init__(self, group: Group, trust: list[str]) -> None:
        self.ranks = self._group = group
        self._trust = trust

    def told(self, config: RunConfig) -> None:
        self._group.tell_config(config, self._trust)

    def on_my_device(self, config: RunConfig) -> RunConfig:
        return self._group.on_my_device(config)

    def begin(self, learner: Learner, dataset: Dataset) -> None:
        self._group.use(learner.device)
        self._group.check_data(dataset)
        self._group.share_state(learner)

    def give(self, order: Order) -> None:
        self._group.give(order)


def lead(line: Line, welcome: Welcome, inbox: Inbox, group: Group) -> ev.RunState:
    """Train to the end; return the final state, which is logged.

    Raises:
        UserError: as `set_up_training` and `Training.run`. PeersLost: another process is gone.
    """
    for digest in welcome.trust:
        allow_digest(digest)
    directory = OpenRunDirectory(Path(welcome.directory))
    log = ev.EventLog(directory.files.events)

    def loading(what: str) -> None:
        log.write(ev.StateEvent(state="loading", reason=what))

    cores = Cores(leave_one=welcome.leave_core, spare=math.inf if welcome.spare is None else welcome.spare)
    setup = set_up_training(
        directory, log, welcome.epochs, loading, cores, welcome.devices, LeaderCrew(group, list(welcome.trust))
    )
    line.send(Loaded(log=setup.run.config.log, planned=setup.progress.planned_epochs))
    first = protocol.Set(lr_factor=welcome.lr_factor) if welcome.lr_factor else None
    training = Training(directory, log, inbox, setup, lambda reason: line.send(Trouble(text=reason)))
    state = training.run(first)
    group.give(END)
    return state
