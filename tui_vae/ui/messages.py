"""What the app's parts tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_vae.config import RunConfig
from tui_vae.runs.directory import RunDirectory


@dataclass
class HistoryChanged(Message, bubble=False):
    """The run's history, or the life of its process, changed. Whoever shows it pulls what it needs."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, HistoryChanged)


@dataclass
class OpenRun(Message):
    """Show this run."""

    run: RunDirectory


@dataclass
class StartRun(Message):
    """Make a run of this description, train it, and show it."""

    config: RunConfig


@dataclass
class PreferencesChanged(Message):
    """The preferences have changed. The app writes them at once: a hang-up leaves no time for it at the end."""
