"""A rank that follows: it loads what the leader says, then takes a step whenever the leader takes one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.config.own_code import allow_digest
from tui_vae.core.seeds import derived_seed, epoch_order
from tui_vae.trainer.batches import batches
from tui_vae.trainer.crew import Order
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.run_setup import LoadedRun, load_data_and_model
from tui_vae.trainer.several.group import END, Group
from tui_vae.trainer.several.pulse import Pulse

DROPOUT = 3
"""What sets a rank's own random numbers apart from all else that is derived from a run's seed."""


def follow(group: Group, pulse: Pulse) -> None:
    """Follow orders until the last.

    Raises:
        UserError: what is to be trained cannot be loaded here. PeersLost: another process is gone.
    """
    config, trust = group.hear_config()
    for digest in trust:
        allow_digest(digest)
    run = load_data_and_model(group.on_my_device(config), to_train=True)
    group.use(run.device)
    learner = Learner(config, run.model, run.device, train_size=len(run.train), ranks=group)
    group.check_data(run.dataset)
    group.share_state(learner)
    order = group.hear()
    _draw_as_nobody_else(config, order, group)
    shares, expected = _shares(run, group, order), order
    while order != END:
        if order[:2] != expected[:2]:  # a new epoch
            shares = _shares(run, group, order)
        images = next(shares)
        with pulse.working():
            learner.set_muon_ratio(order.muon_ratio)
            learner.step(images, order.lr, order.beta, batch_count(run, order.batch))
        expected = order._replace(batch=order.batch + 1)
        order = group.hear()


def batch_count(run: LoadedRun, batch: int) -> int:
    """Images of an epoch's batch of this number, on all ranks together: of the last one, those that are left."""
    return min(run.config.batch_size, len(run.train) - batch * run.config.batch_size)


def _shares(run: LoadedRun, group: Group, order: Order) -> Iterator[Tensor]:
    """This rank's share of the epoch's batches, from that of the order on."""
    whole = epoch_order(run.config.seed, max(order.epoch, 0), len(run.train))
    size = run.config.batch_size
    return batches(run.train, whole[order.batch * size :], size, run.device, run.read_ahead, group)


def _draw_as_nobody_else(config: RunConfig, order: Order, group: Group) -> None:
    """Let the dropout of a user's own network have masks of its own here: equal ones would be of other images."""
    torch.manual_seed(derived_seed(config.seed, max(order.epoch, 0), DROPOUT, order.batch, group.rank))
