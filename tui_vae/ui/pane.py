"""What every pane of a run's screen has: the run, the user's preferences, its keys, its focus and its style sheet."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import ClassVar

from textual.message import Message
from textual.widget import Widget

from tui_vae.runs.history import History
from tui_vae.ui.commands import KeysInContext
from tui_vae.ui.figure_file import Figure
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences


class Pane(Widget, KeysInContext):
    """One of the views behind the tabs. The screen makes a pane when it is first shown, and keeps it."""

    class NotesMoved(Message):
        """`notes_below` has changed."""

    STYLE_SHEET: ClassVar[str]
    """The name of the pane's style sheet, which lies beside its module."""

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__()
        self.session = session
        self.preferences = preferences

    def on_mount(self) -> None:
        if self.children:  # there are none where the screen has gone while the pane was being made
            self.begin()

    def begin(self) -> None:
        """Get ready, once the pane's widgets are there."""
        raise NotImplementedError

    @property
    def history(self) -> History:
        """What is known of the run. Read it anew each time: the session exchanges it when a long log has been read."""
        return self.session.history

    def refresh_history(self) -> None:
        """Show what the history tells now. The screen calls this when it has changed, and when the pane is shown."""
        raise NotImplementedError

    def figure(self) -> Figure | None:
        """What the pane shows, as a figure that can be written to a file; None where that is nothing to draw."""
        return None

    @property
    def notes_below(self) -> bool:
        """Whether toasts stand at the bottom while the pane is shown, as its newest lines stand at the top."""
        return False

    def history_changed(self) -> None:
        """Take note of a change of the history while the pane is shown; mostly it shows it at once."""
        self.refresh_history()

    @property
    def watched(self) -> bool:
        """Whether anybody can see the pane."""
        return self.display and self.screen.is_current

    @property
    def focus_target(self) -> Widget:
        """The widget that gets the focus with the pane: the pane, or the first one in it that can have the focus."""
        if self.can_focus:
            return self
        return next((widget for widget in self.query("*") if widget.focusable), self)

    @classmethod
    def style_sheet(cls) -> Path:
        """The path of the pane's style sheet, which lies beside its module."""
        return Path(inspect.getfile(cls)).with_name(cls.STYLE_SHEET)
