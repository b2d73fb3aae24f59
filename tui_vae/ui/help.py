"""The help, made from the bindings: beside or below what it explains, and searchable."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import ClassVar

from rich.console import RenderableType
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.visual import Visual

from tui_vae.config.user_file import config_file
from tui_vae.ui.commands import Command
from tui_vae.ui.folded import Entry, entries
from tui_vae.ui.strip_widget import StripWidget
from tui_vae.ui.terminal import legible
from tui_vae.ui.workarounds.below import keep_styles, what_is_below
from tui_vae.ui.workarounds.key_bursts import Input

BESIDE_FROM = 110
"""Cells of the screen's width from which the help stands beside what it explains; on narrower ones, below it."""

SPACE = "  "
"""What separates the columns."""

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
        self._sections: dict[str, Sequence[Entry]] = {}
        self._words = ""
        self._lines_by_width: dict[int, list[Line]] = {}

    def show_sections(self, sections: dict[str, Sequence[Entry]], words: str = "") -> None:
        """Show these lines, each list under its title; those alone that have all the words."""
        if (sections, words) != (self._sections, self._words):
            self._sections, self._words = sections, words
            self._lines_by_width.clear()
            self._strips = []
            self.refresh(layout=True)

    def search(self, words: str) -> None:
        """Show the lines alone that have all the words."""
        self.show_sections(self._sections, words)

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
        found = {title: [each for each in these if each.has(self._words)] for title, these in self._sections.items()}
        every = [each for these in found.values() for each in these]
        if not every:
            return [[(legible(f"no key is for “{self._words}”"), "name")]]
        keys, names = (
            max(map(len, texts)) for texts in zip(*((each.key_text, each.names) for each in every), strict=True)
        )
        lines = [
            line
            for title, these in found.items()
            if these
            for line in (*self._section(title, these, keys, names, width), [])
        ]
        sentences = wrap(self._how_to_rebind(), width) if not self._words else []
        return [*lines, *([(sentence, "name")] for sentence in sentences)]

    @staticmethod
    def _section(title: str, entries: Sequence[Entry], keys: int, names: int, width: int) -> list[Line]:
        """Keys, what they do, and the ids by which users rebind them; `keys`, `names`: cells of these columns."""
        room = max(LEAST_TEXT, width - keys - names - 2 * len(SPACE))
        heading = " " * keys + SPACE
        lines: list[Line] = [[(heading, "ground"), (legible(title).ljust(width - len(heading)), "title")]]
        for each in entries:
            for number, part in enumerate(wrap(legible(each.text), room) or [""]):
                first, last = (each.key_text, each.names) if number == 0 else ("", "")
                lines.append([(first.rjust(keys) + SPACE, "key"), (part.ljust(room), "text"),
                              (SPACE + last.rjust(names), "name")])  # fmt: skip
        return lines

    @staticmethod
    def _how_to_rebind() -> str:
        return (
            f'Keys of your own: a table [keys] in {config_file()}, a line each, such as run.pause = "ctrl+t"; '
            "the names stand above."
        )


class SearchWords(Input):
    """A text to search for. The key that opened the help closes it, and is no letter."""

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return key != "question_mark" and super().check_consume_key(key, character)


class Help(ModalScreen[None]):
    """Every key that works now, with what it does. What it explains stays in sight, and goes on.

    The app keeps it for the next time: showing it takes less time than making its widgets and finding their styles.
    """

    CSS_PATH = "help.tcss"
    AUTO_FOCUS = "Input"
    HORIZONTAL_BREAKPOINTS = [(0, "-below"), (BESIDE_FROM, "-beside")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,enter", "app.pop_screen", "close", id="help.close", tooltip="Close the help",
                priority=True),
        Binding("up", "scroll('up')", "up", id="help.up", show=False, tooltip="Scroll up"),
        Binding("down", "scroll('down')", "down", id="help.down", show=False, tooltip="Scroll down"),
        Binding("pageup", "scroll('page_up')", "page up", id="help.page-up", show=False, tooltip="A page up"),
        Binding("pagedown", "scroll('page_down')", "page down", id="help.page-down", show=False, tooltip="A page down"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._text = HelpText()
        self._theme = ""

    def render(self) -> Visual | RenderableType:  # type: ignore[override]  # as of any other widget
        return what_is_below(self.query_one(Vertical).region) or super().render()

    def compose(self) -> ComposeResult:
        with Vertical():
            yield SearchWords(placeholder=legible("type to search   ↑ ↓ scroll   esc close"))
            with VerticalScroll(can_focus=False):
                yield self._text

    def show_commands(self, title: str, commands: Sequence[Command], signs: Sequence[tuple[str, str]] = ()) -> None:
        """Show the commands of the pane of this title, what signs on the screen mean, then what works everywhere."""
        sections = {
            title: entries([command for command in commands if not command.everywhere]),
            "signs": [Entry((legible(sign),), text, ()) for sign, text in signs],
            "everywhere": entries([command for command in commands if command.everywhere]),
        }
        self._text.show_sections({title: each for title, each in sections.items() if each})
        if self.is_mounted:
            with self.prevent(Input.Changed):
                self.query_one(Input).value = ""
            self._scroll.scroll_home(animate=False)

    @property
    def _scroll(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        event.stop()
        self._text.search(event.value)
        self._scroll.scroll_home(animate=False)

    def action_scroll(self, where: str) -> None:
        """Scroll the text `up` or `down`, `page_up` or `page_down`."""
        getattr(self._scroll, f"scroll_{where}")(animate=False)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        if self._theme == self.app.theme:
            keep_styles(event)
        elif self._theme:
            self.call_after_refresh(self._text.restyle)
        self._theme = self.app.theme
