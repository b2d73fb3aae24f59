"""A question that is answered with a line of text."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.widgets import Input, Label

from tui_vae.ui.dialogs import Dialog


class AskText(Dialog[str]):
    """`complaint` says why a text will not do; empty where it does. Escape answers None."""

    def __init__(
        self, question: str, explanation: str, text: str, complaint: Callable[[str], str] = lambda text: ""
    ) -> None:
        super().__init__(question, "enter keep   esc cancel")
        self._explanation, self._text, self._complaint = explanation, text, complaint

    def body(self) -> ComposeResult:
        yield Label(self._explanation, markup=False)
        yield Input(self._text, compact=True)
        yield Label("", classes="wrong", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(".wrong", Label).update(self._complaint(event.value.strip()))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if not self._complaint(text):
            self.dismiss(text)
