"""Messages between the parts of the app."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_vae.config import RunConfig
from tui_vae.runs.directory import RunDirectory


@dataclass
class HistoryChanged(Message, bubble=False):
    """The run's history, or whether its process lives, has changed. Receivers read what they need from the session."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, HistoryChanged)


@dataclass
class OpenRun(Message):
    """Asks the app to show this run. `pane`: the id of the pane; empty: the one seen last."""

    run: RunDirectory
    pane: str = ""


@dataclass
class LookInLatent(Message):
    """Asks the screen to show a test image in Latent: traversals through it, or the way to it.

    `to_it`: interpolate to it, from `first`, or where that is None from where Latent's interpolation begins.
    """

    index: int
    to_it: bool = False
    first: int | None = None


@dataclass
class StartRun(Message):
    """Asks the app to create a run with this config, train it, and show it; or, with `after`, to train it next.

    `after`: the run that is to end first.
    """

    config: RunConfig
    after: RunDirectory | None = None


@dataclass
class RunRefused(Message):
    """Tells the app that the trainer has refused a run that was started from here, before its first step."""

    run: RunDirectory
    why: str


@dataclass
class RunMayStart(Message):
    """A screen that can start a run has opened or closed."""

    here: bool


@dataclass
class SawNews(Message):
    """The start screen has told what happened to the runs since the user was last there."""


@dataclass
class PreferencesChanged(Message):
    """The preferences have changed. The app writes them at once: a hang-up leaves no time for it at the end."""
