"""What the keys that steer a run do: each answers with one sentence, whether it worked or why it makes no sense now."""

from __future__ import annotations

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
        return f"β {self._newest.beta:.3g}"

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
        await self.session.train()
        return f"Training of {self.session.name} starts; it goes on when you leave."

    async def go_on(self, more_epochs: int = 0) -> str:
        """
        Raises:
            UserError: the trainer cannot be started.
        """
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
