"""The base of Browse and Latent: both show the answers of the run's model, and follow its newest weights."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from tui_vae.errors import UserError
from tui_vae.ui.freshness import Freshness
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.model_status import ModelStatus, StatusFacts
from tui_vae.ui.pane import Pane
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.terminal import legible

NO_MODEL = "the model does not answer; enter tries again"


class ModelPane(Pane):
    """A pane that sends requests to the model. The line above its views says which weights answered."""

    DESCRIPTIONS: ClassVar[dict[tuple[str, object], str]] = {}
    """Action and view → what the action does there, where that is something else than its binding says."""

    view: Enum

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.frozen = False
        """Whether the pane keeps what it shows, even if there are newer weights."""
        self.note = ""
        """What the line above the views says in place of the weights."""
        self.weights: tuple[int, int] | None = None
        """Epoch and step of the weights that made what is shown; None before the model's first answer."""
        self._freshness = Freshness(session)
        self._can_open = False, ""
        """Whether there was something to open when the key bar was last drawn, and what that was called."""

    @property
    def live(self) -> bool:
        """Whether the weights are changing and the pane follows them."""
        return self.session.alive and not self.frozen

    @property
    def has_classes(self) -> bool:
        """Whether the images have labels, as far as the log tells."""
        return self.history.run is None or bool(self.history.run.dataset.classes)

    @property
    def can_open(self) -> bool:
        """Whether there is something to open, or to try again."""
        return self.weights is not None or self.note == NO_MODEL

    def may_open_or_freeze(self, action: str) -> bool:
        """Whether these two make sense, if `action` is one of them: with an answer, and while the weights change."""
        return self.can_open if action == "open" else action != "freeze" or self.session.alive

    def description_now(self, action: str) -> str:
        if action == "open" and self.weights is None:
            return "try again"
        return self.DESCRIPTIONS.get((action, self.view), "")

    def facts(self) -> StatusFacts:
        """What the line above the views says now."""
        raise NotImplementedError

    def try_again(self) -> None:
        """Request what the model had refused."""
        raise NotImplementedError

    def weights_text(self) -> str:
        """`epoch 7 · step 1,645`, with a word before it while a living run is frozen there."""
        if self.weights is None:
            return ""
        epoch, step = self.weights
        frozen = "frozen at " if self.frozen and self.session.alive else ""
        return f"{frozen}epoch {self.session.epoch_of(step, epoch)} · step {step:,}"

    def _refresh_status(self) -> None:
        """Bring the line above the views up to date."""
        if self.is_mounted:
            self.query_one(ModelStatus).facts = self.facts()
        can_open = self.can_open, self.description_now("open")
        if can_open != self._can_open:
            self._can_open = can_open
            self.refresh_bindings()

    def _say(self, note: str) -> None:
        self.note = note
        self._refresh_status()

    @staticmethod
    def sentences(error: UserError) -> str:
        """What went wrong, and on a line of its own what to do about it."""
        return legible(with_keys(f"{error.message}\n{error.hint}".strip()))

    def _notify_failure(self, error: UserError) -> None:
        """Say in full why the model does not answer, at most once per outage."""
        if self.note != NO_MODEL:
            self.app.notify(str(error), title="The model cannot be asked", severity="error", markup=False)
