"""A trainer in this process, and requests that reach it at chosen moments."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tui_vae.config import make_config
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.trainer.process import RunProcess
from tui_vae.trainer.server import Inbox, Ticket

TINY = {
    "device": "cpu", "threads": 1, "precision": "float32", "train-limit": 500, "test-limit": 150, "hidden": "24",
    "latent-dim": 4, "batch-size": 192, "epochs": 2,
}  # fmt: skip
WILD = {"optimizer": "adam", "objective": "mse", "schedule": "constant", "norm": "none", "output": "linear"}
"""A network that diverges in its first epoch with a learning rate of 10."""

STEPS = 3  # an epoch: 192 + 192 + 116 images
LOOKS = 10  # into the inbox, in 2 epochs of 3 steps and 2 evaluations


class Killed(BaseException):
    """Nothing in the trainer catches it, and nothing is written after it, as after `kill -9`."""


class Script(Inbox):
    """An inbox into which requests fall at chosen moments: at the trainer's 1st, 2nd, … look into it."""

    def __init__(
        self, at: Mapping[int, Sequence[protocol.AnyRequest]] | None = None, paused: Sequence[protocol.AnyRequest] = (),
        kill_at: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.replies: list[Any] = []
        self.looks = 0
        self._at, self._paused, self._kill_at = at or {}, list(paused), kill_at

    def pending(self) -> Iterator[Ticket]:
        self.looks += 1
        if self.looks == self._kill_at:
            raise Killed
        for message in self._at.get(self.looks, ()):
            yield Ticket(message, self.replies.append)

    def wait(self, seconds: float) -> Ticket | None:
        return Ticket(self._paused.pop(0), self.replies.append) if self._paused else None


def train_here(
    directory: RunDirectory, inbox: Inbox | None = None, more_epochs: int = 0, lr_factor: float | None = None
) -> int:
    """Train a run in the test's own process; return the exit code."""
    lock = RunLock(directory, "train")
    try:
        wanted = protocol.Resume(epochs=more_epochs, lr_factor=lr_factor)
        return RunProcess(directory, lock, inbox or Script()).run(False, wanted)
    finally:
        lock.release()


def new_run(runs: Path, **given: Any) -> RunDirectory:
    return create_run(runs, make_config({**TINY, **given}))[0]


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
