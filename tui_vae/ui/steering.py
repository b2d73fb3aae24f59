"""The actions of the keys that steer a run. Each returns a sentence about what it did, or raises one about why not."""

from __future__ import annotations

import asyncio
import signal

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.events import LIVING
from tui_vae.runs.launch import signal_trainer
from tui_vae.ui.damaged_last import went_back
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.session import RunSession


class Refused(UserError):
    """A key that makes no sense at the moment."""


class Steering:
    """The controls of one run."""

    def __init__(self, session: RunSession) -> None:
        self.session = session
        self.killed = False
        """Whether the trainer was killed from here, which is then not reported as a crash."""
        self._stopped = False

    @property
    def ended(self) -> bool:
        """Whether the trainer was stopped or killed from here."""
        return self.killed or self._stopped

    async def pause_or_resume(self) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_live("pause")
        if self.session.state == "paused":
            await self.session.request(protocol.Resume(), protocol.Done)
            return "Training goes on."
        await self.session.request(protocol.Pause(), protocol.Done)
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
        self._stopped = True
        was_queued = self.session.state == "queued"
        done = await self.session.request(protocol.Stop(), protocol.Done)
        if was_queued:
            return "Taken out of the queue; r begins it."
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
        self.killed = True
        if not await asyncio.to_thread(signal_trainer, self.session.directory, signal.SIGKILL):
            self.killed = False
            raise Refused("The process that trains this run is not one that can be killed from here.")
        saved = self.session.history.checkpoint
        return f"Killed; r goes on from step {saved.step:,}." if saved else "Killed; r begins it anew."

    async def scale_lr(self, factor: float) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_have_begun()
        done = await self.session.request(protocol.Set(lr_factor=factor), protocol.Done)
        return f"Learning rate {done.lr:.3g}"

    async def scale_beta(self, factor: float) -> str:
        """
        Raises:
            UserError: nothing is training, or the trainer cannot be reached.
        """
        self._must_have_begun()
        done = await self.session.request(protocol.Set(beta_factor=factor), protocol.Done)
        if not done.beta and not done.rising_to:
            return "β is 0 and stays 0; ] raises it."
        rising = "" if done.rising_to is None else f", rising to {done.rising_to:.3g}"
        return f"β {done.beta:.3g}{rising}"

    def why_not_continue(self) -> str:
        """Why the run cannot be continued now; empty where it can."""
        if self.session.living.not_own:
            return self._not_own()
        if not self.session.alive and self.session.unresumable.message:
            return with_keys(self.session.unresumable.message)  # before a dialog asks for what comes to nothing
        if not self.session.alive or self.session.state in ("paused", "queued"):
            return ""
        return f"{self.session.name} is {self.session.state} already."

    async def start(self) -> str:
        """
        Raises:
            UserError: the trainer cannot be started.
        """
        self.killed = self._stopped = False
        await self.session.train()
        return f"Training of {self.session.name} starts; it goes on when you leave."

    async def go_on(self, more_epochs: int = 0, from_epoch: int | None = None, lr_factor: float | None = None) -> str:
        """`from_epoch`: the kept epoch to go back to before. `lr_factor`: of the learning rate from then on.

        Raises:
            UserError: that cannot be done, or the trainer cannot be started.
        """
        self.killed = self._stopped = False
        former = ""
        if from_epoch:
            former = await asyncio.to_thread(went_back, self.session.directory, from_epoch, more_epochs)
        await self.session.train(more_epochs, lr_factor)
        return f"Training of {self.session.name} goes on.{former}"

    def _not_own(self) -> str:
        return f"{self.session.name} {self.session.living.not_own}: you may look at it, not change it."

    def _must_live(self, what: str) -> None:
        if self.session.living.not_own:
            raise Refused(self._not_own())
        if self.session.alive:
            return
        state = self.session.state
        how = "r trains more epochs" if state == "finished" else "r continues it"
        if self.session.unresumable.brief:
            how = f"it {self.session.unresumable.brief}"
        state = "not training any more" if state in LIVING else state
        raise Refused(f"There is nothing to {what}: {self.session.name} is {state}; {how}.")

    def check_change(self) -> None:
        """
        Raises:
            UserError: nothing is training whose learning rate or β could be changed.
        """
        self._must_have_begun()

    def _must_have_begun(self) -> None:
        self._must_live("change")
        if not len(self.session.history.steps):
            raise Refused("The trainer has not made a step yet; try again in a moment.")
