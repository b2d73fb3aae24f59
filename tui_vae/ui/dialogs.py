"""Small questions over the screen, and the help, which is made from the bindings themselves."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.events import Resize
from textual.geometry import Size
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from tui_vae.ui.commands import Command
from tui_vae.ui.drawn import Drawn
from tui_vae.ui.settings import config_file
from tui_vae.ui.terminal import legible

Answer = TypeVar("Answer")

WIDE = 150
"""Cells from which the help's sections stand side by side."""

SPACE = "  "
"""Between the columns of the help."""

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
        """What stands between the question and the keys."""
        yield from ()

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no; `verb` names what yes does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "yes", "yes", id="dialog.yes", tooltip="Do it"),
        Binding("n", "cancel", "no", id="dialog.no", tooltip="Close without doing anything"),
    ]

    def __init__(self, question: str, explanation: str, verb: str) -> None:
        super().__init__(question, f"enter {verb}   esc cancel")
        self._explanation = explanation

    def body(self) -> ComposeResult:
        yield Label(self._explanation, markup=False)

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


class Choose(Dialog[str]):
    """One of several things, each with a word of explanation."""

    def __init__(self, question: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(question, "enter choose   esc cancel")
        self._choices = choices

    def body(self) -> ComposeResult:
        width = max(len(name) for name, _ in self._choices)
        colours = self.app.theme_variables
        options = [
            Option(Text.assemble((f"{name:<{width}}  ", colours["emphasis"]), (about, colours["note"])), id=name)
            for name, about in self._choices
        ]
        yield OptionList(*options, compact=True, markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


class KeyTable(Drawn):
    """Keys, what they do, and the names by which they are bound anew. (A Rich table costs ten times as much.)"""

    PREFIX = "help"
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"help--{name}" for name in ("title", "key", "text", "name")}

    def __init__(self, title: str, commands: Sequence[Command], keys: int) -> None:
        """`keys`: cells of the column of keys."""
        super().__init__()
        self._title, self._keys = legible(title), keys
        self._wrapped: dict[int, list[list[tuple[str, str]]]] = {}
        self._rows = [(" ".join(each.keys), legible(each.tooltip), each.binding.id or "") for each in commands]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def draw(self) -> list[Strip]:
        return [self.strip(line) for line in self._lines(self.size.width)]

    def _lines(self, width: int) -> list[list[tuple[str, str]]]:
        if width in self._wrapped:  # asked for several times while things find their places
            return self._wrapped[width]
        keys, names = self._keys, max(len(name) for _, _, name in self._rows)
        room = max(12, width - keys - names - 2 * len(SPACE))
        lines = [[(" " * keys + SPACE, "ground"), (self._title, "title")]]
        for key, about, name in self._rows:
            for number, part in enumerate(wrap(about, room) or [""]):
                told = (key, name) if number == 0 else ("", "")
                lines.append([(told[0].rjust(keys) + SPACE, "key"), (part.ljust(room), "text"),
                              (SPACE + told[1].rjust(names), "name")])  # fmt: skip
        self._wrapped[width] = lines
        return lines


class Help(Screen[None]):
    """Every key that works now, with what it does, from the bindings themselves.

    It hides the screen below: to paint that anew around it takes as long as the help itself.
    """

    CSS_PATH = "dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "app.pop_screen", "close", id="help.close", tooltip="Close the help"),
    ]

    def __init__(self, pane_title: str, commands: Sequence[Command]) -> None:
        super().__init__()
        self._sections = {
            pane_title: [command for command in commands if not command.everywhere],
            "everywhere": [command for command in commands if command.everywhere],
        }

    def compose(self) -> ComposeResult:
        self.set_class(self.app.size.width >= WIDE, "-wide")
        with VerticalScroll(classes="dialog help"):
            with Container(classes="sections"):
                keys = max(len(" ".join(each.keys)) for commands in self._sections.values() for each in commands)
                for title, commands in self._sections.items():
                    if commands:
                        yield KeyTable(title, commands, keys)
            yield Label(self._how_to_rebind(), classes="rebind", markup=False)
            yield Label(legible("↑ ↓ scroll   esc close"), classes="keys", markup=False)

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")

    @staticmethod
    def _how_to_rebind() -> str:
        return (
            f"Keys of your own: a table [keys] in {config_file()}, a line each, such as run.pause = \"ctrl+t\"; "
            "the names stand above."
        )
