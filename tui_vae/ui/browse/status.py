"""The line above Browse's images: what is shown, in which order, and which weights made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from tui_vae.ui.status_item import Item
from tui_vae.ui.terminal import legible


@dataclass(frozen=True)
class BrowseFacts:
    """What the line says. The note, where there is one, stands in place of the weights."""

    items: tuple[Item, ...] = ()
    weights: str = ""
    live: bool = False
    note: str = ""


class BrowseStatus(Widget):
    """Draws the facts, leaving out keys and then items where the line is too short."""

    DEFAULT_CSS = """
    BrowseStatus {
        height: 1;
        padding: 0 1;
        & > .browse--label { color: $label; }
        & > .browse--value { color: $emphasis; }
        & > .browse--note { color: $note; }
        & > .browse--live { color: $success; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"browse--label", "browse--value", "browse--note", "browse--live"}

    facts: reactive[BrowseFacts] = reactive(BrowseFacts())

    def render(self) -> Text:
        width = self.size.width
        right = self._right()
        items = list(self.facts.items)
        left = self._left(items, keys=True)
        if left.cell_len + right.cell_len + 2 > width:
            left = self._left(items, keys=False)
        while items and left.cell_len + right.cell_len + 2 > width and len(items) > 2:
            items.pop()
            left = self._left(items, keys=False)
        right.truncate(max(0, width - left.cell_len - 2), overflow="ellipsis")
        space = " " * max(1, width - left.cell_len - right.cell_len)
        return Text.assemble(left, space, right, no_wrap=True, overflow="crop")

    def _left(self, items: list[Item], keys: bool) -> Text:
        label, value = self._ink("label"), self._ink("value")
        line = Text()
        for number, item in enumerate(items):
            line.append("   " if number else "")
            line.append(item.label + " ", label).append(item.value, value)
            if keys and item.key:
                line.append(" " + legible(item.key), label)
        return line

    def _right(self) -> Text:
        facts = self.facts
        if facts.note:
            return Text(legible(facts.note), self._ink("note"))
        if not facts.weights:
            return Text()
        live = ("live ", self._ink("live")) if facts.live else ""
        return Text.assemble(live, (legible(facts.weights), self._ink("note")))

    def _ink(self, name: str) -> Style:
        return self.get_component_rich_style(f"browse--{name}", partial=True)
