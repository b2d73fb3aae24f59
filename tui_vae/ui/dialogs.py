"""Small questions, each a dialog over the screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from rich.table import Column, Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from tui_vae.ui.list_keys import LIST_KEYS
from tui_vae.ui.workarounds.key_bursts import Input

Answer = TypeVar("Answer")

CANCEL = Binding("escape", "cancel", "cancel", id="dialog.cancel", tooltip="Close without doing anything")


class Dialog(ModalScreen[Answer | None]):
    """A question in the middle of the screen; escape answers None."""

    CSS_PATH = "dialogs.tcss"
    AUTO_FOCUS = "Input, OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [CANCEL]

    def __init__(self, question: str, keys: str) -> None:
        super().__init__()
        self._question = question
        self._keys = keys

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="question", markup=False)
            yield from self.body()
            yield Label(self._keys, classes="keys", markup=False)

    def body(self) -> ComposeResult:
        """The widgets between the question and the line of keys."""
        yield from ()

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no; `verb` names what yes does. `careful`: enter, which fingers press by themselves, does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", id="dialog.yes", tooltip="Do it"),
        Binding("enter", "enter", "the usual answer", id="dialog.enter",
                tooltip="Do it; where that cannot be undone, close without doing anything"),
        Binding("n", "cancel", "no", id="dialog.no", tooltip="Close without doing anything"),
    ]  # fmt: skip

    def __init__(self, question: str, explanation: str, verb: str, careful: bool = False) -> None:
        super().__init__(question, f"y {verb}   enter or esc cancel" if careful else f"enter {verb}   esc cancel")
        self._explanation = explanation
        self._careful = careful

    def body(self) -> ComposeResult:
        yield Label(self._explanation, markup=False)

    def action_enter(self) -> None:
        self.dismiss(None if self._careful else True)

    def action_yes(self) -> None:
        self.dismiss(True)


class AskNumber(Dialog[int]):
    """A whole number between two bounds."""

    def __init__(self, question: str, label: str, default: int | None, low: int, high: int) -> None:
        super().__init__(question, "enter go   esc cancel")
        self._label, self._default, self._low, self._high = label, default, low, high

    def body(self) -> ComposeResult:
        yield Label(f"{self._label} ({self._low:,} to {self._high:,})", markup=False)
        yield Input("" if self._default is None else str(self._default), type="integer", compact=True)
        yield Label("", classes="wrong", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if text.isdecimal() and self._low <= int(text) <= self._high:
            self.dismiss(int(text))
        else:
            self.query_one(".wrong", Label).update(f"Type a whole number from {self._low:,} to {self._high:,}.")


class AskMoreEpochs(AskNumber):
    """How many epochs a finished run is to be trained on."""

    def __init__(self, name: str, planned: int) -> None:
        super().__init__(f"{name} has finished its {planned} epochs.", "More epochs", default=10, low=1, high=1_000_000)


class AskText(Dialog[str]):
    """A line of text. `complaint` says why a text cannot be accepted; empty where it can. `verb` names what enter does.
    `at_end`: typing goes on at the end of the text that is there; else it replaces it.
    """

    def __init__(
        self,
        question: str,
        explanation: str,
        text: str,
        complaint: Callable[[str], str] = lambda text: "",
        verb: str = "keep",
        at_end: bool = False,
    ) -> None:
        super().__init__(question, f"enter {verb}   esc cancel")
        self._explanation, self._text, self._complaint = explanation, text, complaint
        self._at_end = at_end

    def body(self) -> ComposeResult:
        yield Label(self._explanation, markup=False)
        yield Input(self._text, compact=True, select_on_focus=not self._at_end)
        yield Label("", classes="wrong", markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(".wrong", Label).update(self._complaint(event.value.strip()))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if not self._complaint(text):
            self.dismiss(text)


class Choices(OptionList):
    """The list of a `Choose`."""

    BINDINGS: ClassVar[list[BindingType]] = [*LIST_KEYS]


class Choose(Dialog[str]):
    """One of several things, each with a word of explanation."""

    def __init__(self, question: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(question, "enter choose   esc cancel")
        self._choices = choices

    def body(self) -> ComposeResult:
        width = max(len(name) for name, _ in self._choices)
        colours = self.app.theme_variables
        options = []
        for name, about in self._choices:
            row = Table.grid(Column(width=width), Column(ratio=1), padding=(0, 2, 0, 0), expand=True)
            row.add_row(Text(name, colours["emphasis"]), Text(about, colours["note"]))
            options.append(Option(row, id=name))
        yield Choices(*options, compact=True, markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)
