"""The process group of a run: what its processes exchange at each step, and how the leader has all do the same.

Orders go over gloo from CPU to CPU, so that no GPU waits for them. Whoever waits for an order sleeps, for however long
a pause or an evaluation takes. Gradients are added up by NCCL where they lie on GPUs, else by gloo. A process that is
lost breaks the connections of all others at once; one that hangs is found by the trainer (`supervisor.py`).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # it is in its documentation
from torch.distributed.rendezvous import rendezvous

from tui_vae.config import RunConfig, recorded_config
from tui_vae.core.data.datasets import Dataset
from tui_vae.errors import UserError
from tui_vae.trainer.crew import Order
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.several.pulse import Pulse

FOREVER = timedelta(days=365)
"""How long a process waits for the others: the trainer finds out whether one hangs, and a pause may take days."""


END = Order(-1, 0, 0.0, 0.0, 0.0)
"""The last order."""


ROUND = "TUI_VAE_ROUND"
"""As of `agent.py`, which imports more."""


class PeersLost(Exception):
    """Another process of the run is gone."""


class Group:
    """This process among the ranks of the run. One of them leads.

    rank, world: as `Ranks`. local, here: this process's number on its machine, and how many there are on it.
    """

    def __init__(self, leads: bool, pulse: Pulse) -> None:
        """
        Raises:
            PeersLost: one of the others is gone. UserError: they have no leader in common.
        """
        self._pulse = pulse
        self.local, self.here = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        with _losing_peers():
            store, rank, world = next(rendezvous("env://", timeout=FOREVER))
            store = PrefixStore(os.environ[ROUND], store)
            dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=FOREVER)
            self.rank, self.world = dist.get_rank(), dist.get_world_size()
            leaders = torch.zeros(self.world)
            leaders[self.rank] = leads
            dist.all_reduce(leaders)
        if leaders.sum() != 1:
            raise UserError(
                f"the machines of this run have {int(leaders.sum())} leaders, not one",
                "give each another --node-rank, from 0",
            )
        self._leader = int(leaders.argmax())
        self._gradients: Any = None

    def use(self, device: torch.device) -> None:
        """Add up on this device from now on."""
        if device.type == "cuda":
            with _losing_peers():
                self._gradients = dist.new_group(backend="nccl", timeout=FOREVER)

    def on_my_device(self, config: RunConfig) -> RunConfig:
        """The configuration as it holds for this process: its own GPU, or its part of the CPU's threads."""
        if config.device.startswith("cuda"):
            return replace(config, device=f"cuda:{self.local}")
        return replace(config, threads=max(1, (config.threads or 1) // self.here))

    def add_up(self, values: Tensor) -> None:
        """As `Ranks`."""
        with _losing_peers(), self._pulse.waiting():
            dist.all_reduce(values, group=self._gradients)

    def give(self, order: Order) -> None:
        """Have all others take this step, which the caller takes too."""
        with _losing_peers():
            dist.broadcast(torch.tensor(order, dtype=torch.float64), self._leader)

    def hear(self) -> Order:
        """Wait for the next order."""
        numbers = torch.zeros(len(Order._fields), dtype=torch.float64)
        with _losing_peers(), self._pulse.waiting():
            dist.broadcast(numbers, self._leader)
        epoch, batch, *rest = numbers.tolist()
        return Order(int(epoch), int(batch), *rest)

    def tell_config(self, config: RunConfig, trust: list[str]) -> None:
        """Tell all others what is to be trained, and what may run for it."""
        self._share([config.to_dict(), trust])

    def hear_config(self) -> tuple[RunConfig, list[str]]:
        """What `tell_config` tells."""
        described, trust = self._share(None)
        return recorded_config(described), trust

    def check_data(self, dataset: Dataset) -> None:
        """
        Raises:
            UserError: not all processes have found the same images.
        """
        mine = [dataset.fingerprint, len(dataset.train_images), socket.gethostname()]
        found = [self._share(mine, source=rank) for rank in range(self.world)]
        for rank, (fingerprint, count, host) in enumerate(found):
            if [fingerprint, count] != found[self._leader][:2]:
                raise UserError(
                    f"rank {rank} on host {host!r} has found other images than the leader",
                    "give all machines the same data",
                )

    def share_state(self, learner: Learner) -> None:
        """Give all learners the weights, the optimizer's state and the noise of the leader's."""
        state = {name: value.detach().to("cpu").clone() for name, value in learner.tensors().items()}
        with _losing_peers(), self._pulse.waiting():
            for name in sorted(state):
                if name != "rng":  # of a network's own dropout, which must not be the same for other images
                    dist.broadcast(state[name], self._leader)
        if self.rank != self._leader:
            learner.restore(state)

    def _share(self, value: Any, source: int | None = None) -> Any:
        """What one process, the leader unless `source` says another, says in JSON."""
        source = self._leader if source is None else source
        data = bytearray(json.dumps(value).encode())
        with _losing_peers(), self._pulse.waiting():
            length = torch.tensor(len(data))
            dist.broadcast(length, source)
            text = torch.frombuffer(data, dtype=torch.uint8) if self.rank == source else torch.empty(0)
            text = text if self.rank == source else torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(text, source)
        return json.loads(bytes(text.tolist()))


@contextmanager
def _losing_peers() -> Iterator[None]:
    """
    Raises:
        PeersLost: in place of what PyTorch raises where a connection breaks.
    """
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, ValueError) as error:  # DistError and its like are RuntimeErrors
        raise PeersLost(str(error)) from error
