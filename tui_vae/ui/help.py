"""The help, made from the bindings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip

from tui_vae.ui.commands import Command
from tui_vae.ui.settings import config_file
from tui_vae.ui.strip_widget import StripWidget
from tui_vae.ui.terminal import legible

WIDE = 150
"""Cells of the screen's width from which the sections stand side by side."""

SPACE, GUTTER = "  ", "   "
"""What separates the columns of a section, and two sections."""

LEAST_TEXT = 12
"""Cells of the column that says what a key does, at least."""

Line = list[tuple[str, str]]
"""Texts, each with its role."""


class HelpText(StripWidget):
    """The text of the help as one widget; with one for each section and sentence it opens three times as slowly."""

    PREFIX = "help"
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"help--{name}" for name in ("title", "key", "text", "name")}

    def __init__(self) -> None:
        super().__init__()
        self._sections: dict[str, Sequence[Command]] = {}
        self._lines_by_width: dict[int, list[Line]] = {}

    def show_sections(self, sections: dict[str, Sequence[Command]]) -> None:
        """Show these commands, each list under its title."""
        if sections != self._sections:
            self._sections = sections
            self._lines_by_width.clear()
            self._strips = []
            self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.lines(width))

    def draw(self) -> list[Strip]:
        width = self.size.width
        return [self.strip(line).adjust_cell_length(width, self.style("ground")) for line in self.lines(width)]

    def lines(self, width: int) -> list[Line]:
        if width not in self._lines_by_width:  # the layout asks for them several times
            self._lines_by_width[width] = self._lay_out(width)
        return self._lines_by_width[width]

    def _lay_out(self, width: int) -> list[Line]:
        keys = max((len(" ".join(each.keys)) for these in self._sections.values() for each in these), default=0)
        across = len(self._sections) if self.screen.has_class("-wide") else 1
        room = (width - len(GUTTER) * (across - 1)) // max(1, across)
        tables = [self._section(title, each, keys, room) for title, each in self._sections.items()]
        if across > 1:
            blank: Line = [(" " * room, "ground")]
            lines = [
                [part for number, cell in enumerate(row) for part in ([(GUTTER, "ground")] * bool(number) + cell)]
                for row in zip_longest(*tables, fillvalue=blank)
            ]
            lines.append([])
        else:
            lines = [line for table in tables for line in (*table, [])]
        sentences = (*wrap(self._how_to_rebind(), width), "", legible("↑ ↓ scroll   esc close"))
        return [*lines, *([(sentence, "name")] for sentence in sentences)]

    @staticmethod
    def _section(title: str, commands: Sequence[Command], keys: int, width: int) -> list[Line]:
        """Keys, what they do, and the ids by which users rebind them; `keys`: cells of the first column."""
        rows = [(" ".join(each.keys), legible(each.tooltip), each.binding.id or "") for each in commands]
        names = max(len(name) for _, _, name in rows)
        room = max(LEAST_TEXT, width - keys - names - 2 * len(SPACE))
        heading = " " * keys + SPACE
        lines: list[Line] = [[(heading, "ground"), (legible(title).ljust(width - len(heading)), "title")]]
        for key, about, name in rows:
            for number, part in enumerate(wrap(about, room) or [""]):
                first, last = (key, name) if number == 0 else ("", "")
                lines.append([(first.rjust(keys) + SPACE, "key"), (part.ljust(room), "text"),
                              (SPACE + last.rjust(names), "name")])  # fmt: skip
        return lines

    @staticmethod
    def _how_to_rebind() -> str:
        return (
            f'Keys of your own: a table [keys] in {config_file()}, a line each, such as run.pause = "ctrl+t"; '
            "the names stand above."
        )


class Help(Screen[None]):
    """Every key that works now, with what it does.

    The help hides the screen below, and the app keeps it for the next time: showing it takes less time than repainting
    what is around it, or making its widgets and finding their styles.
    """

    CSS_PATH = "help.tcss"
    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "app.pop_screen", "close", id="help.close", tooltip="Close the help"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._text = HelpText()
        self._theme = ""

    def compose(self) -> ComposeResult:
        self.set_class(self.app.size.width >= WIDE, "-wide")
        with VerticalScroll():
            yield self._text

    def show_commands(self, title: str, commands: Sequence[Command]) -> None:
        """Show the commands of the pane of this title, then those that work everywhere."""
        sections = {
            title: [command for command in commands if not command.everywhere],
            "everywhere": [command for command in commands if command.everywhere],
        }
        self._text.show_sections({title: each for title, each in sections.items() if each})
        if self.is_mounted:
            self.query_one(VerticalScroll).scroll_home(animate=False)

    def on_screen_resume(self) -> None:
        if self._theme not in ("", self.app.theme):
            self.call_after_refresh(self._text.restyle)
        self._theme = self.app.theme

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= WIDE, "-wide")
