"""The keys that steer the run on screen: each asks where it must, acts in turn, and says what has come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer

from tui_vae.errors import UserError
from tui_vae.ui import steering
from tui_vae.ui.commands import KeysInContext
from tui_vae.ui.messages import HistoryChanged
from tui_vae.ui.notify_outcome import notify_outcome
from tui_vae.ui.pending_change import FACTOR, SEND_AFTER, Change, PendingChanges, What
from tui_vae.ui.session import RunSession
from tui_vae.ui.toasts import withdraw


class RunControls(Screen[None], KeysInContext):
    """The part of a run's screen that steers the run; `RunScreen` adds the part that shows it."""

    LR = Binding.Group("lr")
    BETA = Binding.Group("β")

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "pause", id="run.pause", tooltip="Pause training, or go on"),
        Binding("s", "save", "save", id="run.save", tooltip="Save a checkpoint now"),
        Binding("+,=", "scale('lr', 1)", "lr up", id="run.lr-up", group=LR,
                tooltip=f"Raise the learning rate (lr) by a factor of {FACTOR}, a second later"),
        Binding("-", "scale('lr', -1)", "lr down", id="run.lr-down", group=LR,
                tooltip=f"Lower the learning rate (lr) by a factor of {FACTOR}, a second later"),
        Binding("[", "scale('beta', -1)", "β down", id="run.beta-down", group=BETA,
                tooltip=f"Lower β (beta), the weight of the KL term, by a factor of {FACTOR}, a second later"),
        Binding("]", "scale('beta', 1)", "β up", id="run.beta-up", group=BETA,
                tooltip=f"Raise β (beta), the weight of the KL term, by a factor of {FACTOR}, a second later"),
        Binding("u", "undo", "undo", id="run.undo", show=False,
                tooltip="Take the change of lr or β back that was not sent yet, or undo the last one"),
        Binding("x", "stop", "stop", id="run.stop", tooltip="Stop the run, after a checkpoint or at once (asks)"),
        Binding("r", "go_on", "resume", id="run.resume", tooltip="Continue a paused, stopped, crashed or finished run"),
        Binding("e", "export", "export", id="run.export", tooltip="Write figures, images or the decoder to a file"),
        Binding("ctrl+e", "export_figure", "export figure", id="run.figure", show=False,
                tooltip="Write the chart, plane, bars or comparison on the screen to a PNG, SVG or CSV file"),
        Binding("T", "trust", "trust", id="run.trust", tooltip="Allow the code that the run brings as its model (asks)",
                show=False),
        Binding("n", "app.new_run", "new run", id="run.new", tooltip="Describe and start a new run"),
    ]  # fmt: skip

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session
        self.steering = steering.Steering(session)
        self._one_at_a_time = asyncio.Lock()
        self._changes = PendingChanges()
        self._send_timer: Timer | None = None
        self._told = ""
        """What was said last of changes that wait."""

    def description_now(self, action: str) -> str:
        return "go on" if action == "pause" and self.session.state == "paused" else ""

    def makes_sense_now(self, action: str) -> bool:
        """Steering needs a living trainer; continuing needs a run that has none, or is paused."""
        if action in ("pause", "save", "scale", "stop"):
            can_steer = self.session.alive and not self.session.living.not_own
            return can_steer and (self.session.state != "queued" or action == "stop")
        if action == "trust":
            return bool(self.session.untrusted)
        return action != "go_on" or not self.steering.why_not_continue()

    def _steer(self, action: Coroutine[object, object, str]) -> None:
        """Run actions one after the other, so that each sees what the one before it has changed."""

        async def in_turn() -> None:
            async with self._one_at_a_time:
                await notify_outcome(self, action)
                await self.session.look_for_process()
            self.post_message(HistoryChanged())

        self.run_worker(in_turn(), group="steer")

    def action_pause(self) -> None:
        self._send_changes()
        self._steer(self.steering.pause_or_resume())

    def action_save(self) -> None:
        self._send_changes()
        self._steer(self.steering.save())

    def action_scale(self, what: What, direction: int) -> None:
        """Have the learning rate or β changed in a second, unless it is taken back before."""
        try:
            self.steering.check_change()
        except UserError as error:
            self.notify(str(error), severity="warning", markup=False)
            return
        self._changes.press(what, direction)
        if self._send_timer is not None:
            self._send_timer.stop()
        self._send_timer = self.set_timer(SEND_AFTER, self._send_changes)
        waiting = " and ".join(change.text() for change in self._changes.waiting)
        said = f"In a second: {waiting}; u takes it back." if waiting else "Taken back; nothing is sent."
        self._tell(said, 2 * SEND_AFTER)

    def _tell(self, said: str, seconds: float) -> None:
        """Say this of changes in place of what was said of them before."""
        withdraw(self.app, self._told)
        self._told = said
        self.notify(said, timeout=seconds, markup=False)

    def _send_changes(self) -> None:
        """Send what waits, now."""
        withdraw(self.app, self._told)
        if self._send_timer is not None:
            self._send_timer.stop()
            self._send_timer = None
        for change in self._changes.take():
            self._steer(self._change(change))

    def _change(self, change: Change) -> Coroutine[object, object, str]:
        if change.what == "lr":
            return self.steering.scale_lr(change.factor)
        return self.steering.scale_beta(change.factor)

    def action_undo(self) -> None:
        """Take back what waits; else undo what was sent last."""
        if dropped := self._changes.drop():
            words = " and ".join(change.text() for change in dropped)
            self._tell(f"Taken back, nothing was sent: {words}.", 4)
        elif undoing := self._changes.undo():
            for change in undoing:
                self._steer(self._change(change))
        else:
            self.notify("There is no change of lr or β to take back.", timeout=4, markup=False)

    async def changes_sent(self) -> None:
        """Send what waits, and wait until it is done."""
        if not self._changes.waiting:
            return
        self._send_changes()
        await self.workers.wait_for_complete([each for each in self.workers if each.group == "steer"])

    def action_stop(self) -> None:
        self._send_changes()
        if not self.session.alive or self.session.living.not_own:
            self._steer(self.steering.stop())  # it refuses, and says why
            return
        from tui_vae.ui.dialogs import Choose, Confirm

        if self.session.state == "queued":
            question = Confirm(f"Take {self.session.name} out of the queue?", "r begins it later.", "take it out")
            self.app.push_screen(question, lambda yes: self._steer(self.steering.stop()) if yes else None)
            return
        choices = [
            ("stop", "after a checkpoint; r goes on later"),
            ("kill", "at once, without a checkpoint (asks again)"),
            ("keep", "training goes on"),
        ]
        self.app.push_screen(Choose(f"Stop {self.session.name}?", choices), self._stop)

    def _stop(self, how: str | None) -> None:
        if how == "stop":
            self._steer(self.steering.stop())
        elif how == "kill":
            from tui_vae.ui.dialogs import Confirm

            lost = self.steering.what_a_kill_loses()
            question = Confirm(f"Kill the trainer of {self.session.name}?", lost, "kill it", careful=True)
            self.app.push_screen(question, lambda yes: self._steer(self.steering.kill()) if yes else None)

    def action_trust(self) -> None:
        if not self.session.untrusted:
            self.notify("Nothing waits for being allowed: no code of this run was in the way.", markup=False)
            return
        from tui_vae.ui.allow_code import question

        self.app.push_screen(question(self.session.name, self.session.untrusted), self._trust)

    async def _trust(self, yes: bool | None) -> None:
        if not yes:
            return
        await self.session.trust()
        self.notify("Its code is allowed.", markup=False)
        from tui_vae.ui.model_pane import ModelPane

        for pane in self.query(ModelPane):
            pane.try_again()

    def action_export(self) -> None:
        from tui_vae.ui.export import ask_and_export

        ask_and_export(self, self.session.directory)

    def action_go_on(self) -> None:
        self._send_changes()
        from tui_vae.ui.dialogs import AskMoreEpochs

        refusal = self.steering.why_not_continue()
        if refusal:
            self.notify(refusal, severity="warning", markup=False)
        elif self.session.state == "paused":
            self._steer(self.steering.pause_or_resume())
        elif self.session.state == "finished" or self.session.history.has_trained_all:
            planned = self.session.history.run.epochs if self.session.history.run else 0
            question = AskMoreEpochs(self.session.name, planned)
            self.app.push_screen(question, lambda more: self._go_on(more) if more else None)
        else:
            from tui_vae.ui.lower_rate import ask_for_lower_rate

            ask_for_lower_rate(self, self.session.name, self.session.history, lambda factor: self._go_on(0, factor))

    def _go_on(self, more_epochs: int = 0, lr_factor: float | None = None) -> None:
        from tui_vae.ui.damaged_last import ask_where_last_is_damaged

        def go_on(epoch: int | None) -> None:
            self._steer(self.steering.go_on(more_epochs, epoch, lr_factor))

        self.run_worker(ask_where_last_is_damaged(self, self.session.directory, go_on))
