"""What the keys that steer a run do: each answers with one sentence, whether it worked or why it makes no sense now."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Literal

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.ui.session import RunSession

FACTOR = 1.25
"""One press of a key changes the learning rate or β by this factor: three presses double or halve it."""

FIRST_BETA = 0.1
"""What β becomes when it is raised from zero."""


class Refused(UserError):
    """A key that makes no sense at the moment."""


class Steering:
    """The controls of one run."""

    def __init__(self, session: RunSession) -> None:
        self.session = session
        self.killed = False
        """Whether the trainer was killed from here: no news to whoever did it."""
        self._newest: protocol.Done | None = None

    async def pause_or_resume(self) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_live("pause")
        if self.session.state == "paused":
            self._newest = await self.session.request(protocol.Resume(), protocol.Done)
            return "Training goes on."
        self._newest = await self.session.request(protocol.Pause(), protocol.Done)
        return "Paused; space goes on."

    async def save(self) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_live("save")
        done = await self.session.request(protocol.Checkpoint(), protocol.Done)
        return f"Checkpoint saved at step {done.step:,}."

    async def stop(self) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_live("stop")
        done = await self.session.request(protocol.Stop(), protocol.Done)
        return f"Stopped at step {done.step:,}, with a checkpoint; r continues."

    def what_a_kill_loses(self) -> str:
        """What is lost if the trainer is killed now, as far as the log tells."""
        history = self.session.history
        if history.checkpoint is None:
            return "Nothing of it has been saved yet: all of it is lost."
        saved = history.checkpoint.step
        lost = history.step - saved
        return f"The {lost:,} steps since the checkpoint at step {saved:,} are lost; r goes on from there."

    async def kill(self) -> str:
        """
        Raises:
            UserError: nothing is training, or what holds the run is no trainer that may be killed from here.
        """
        await self.session.look_for_process()
        self._must_live("kill")
        holder = self.session.holder
        if holder is None or not _is_trainer(holder.pid):
            raise Refused("The process that trains this run is not one that can be killed from here.")
        self.killed = True
        try:
            os.kill(holder.pid, signal.SIGKILL)
        except OSError as error:
            self.killed = False
            raise Refused(f"The trainer cannot be killed: {error.strerror}.") from None
        saved = self.session.history.checkpoint
        return f"Killed; r goes on from step {saved.step:,}." if saved else "Killed; r begins it anew."

    async def scale_lr(self, factor: float) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached, or refuses the value.
        """
        self._must_live("change")
        lr = min(10.0, self._in_force("lr") * factor)
        self._newest = await self.session.request(protocol.Set(lr=lr), protocol.Done)
        return f"Learning rate {self._newest.lr:.3g}"

    async def scale_beta(self, factor: float) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached, or refuses the value.
        """
        self._must_live("change")
        beta = min(1e6, self._in_force("beta") * factor or FIRST_BETA)
        self._newest = await self.session.request(protocol.Set(beta=beta), protocol.Done)
        rising = self._newest.rising_to
        return f"β {self._newest.beta:.3g}" + ("" if rising is None else f", rising to {rising:.3g}")

    def why_not_continue(self) -> str:
        """Why the run cannot be continued now; empty where it can."""
        if not self.session.alive or self.session.state == "paused":
            return ""
        return f"{self.session.name} is {self.session.state} already."

    async def start(self) -> str:
        """
        Raises:
            UserError: the trainer cannot be started.
        """
        self.killed = False
        await self.session.train()
        return f"Training of {self.session.name} starts; it goes on when you leave."

    async def go_on(self, more_epochs: int = 0) -> str:
        """
        Raises:
            UserError: the trainer cannot be started.
        """
        self.killed = False
        await self.session.train(more_epochs)
        return f"Training of {self.session.name} goes on."

    def _must_live(self, what: str) -> None:
        if self.session.alive:
            return
        state = self.session.state
        how = "r trains more epochs" if state == "finished" else "r continues it"
        state = "not training any more" if state in ("loading", "training", "paused") else state
        raise Refused(f"There is nothing to {what}: {self.session.name} is {state}; {how}.")

    def _in_force(self, name: Literal["lr", "beta"]) -> float:
        """The value that holds now: the trainer's last answer, unless the log already speaks of later steps."""
        steps = self.session.history.steps
        if self._newest is not None and self._newest.step >= self.session.history.step:
            return self._newest.lr if name == "lr" else self._newest.beta
        if not len(steps):
            raise Refused("The trainer has not made a step yet; try again in a moment.")
        return steps[name][-1]


def _is_trainer(pid: int) -> bool:
    """Whether a process looks like one of ours: a lock on a shared disk may be held on another machine."""
    if pid <= 0:
        return False
    if not Path("/proc/self").exists():
        return True
    try:
        return b"tui_vae.trainer" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
