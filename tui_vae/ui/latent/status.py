"""The line above Latent's views: their names, what is chosen in the one in front, and which weights made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui_vae.ui.status_item import Item
from tui_vae.ui.terminal import legible


@dataclass(frozen=True)
class LatentFacts:
    """What the line says. The note, where there is one, stands in place of the weights."""

    views: tuple[str, ...] = ()
    view: int = 0
    items: tuple[Item, ...] = ()
    weights: str = ""
    live: bool = False
    note: str = ""


class LatentStatus(Widget):
    """Draws the facts, leaving out keys, then items, then the other views' names where the line is too short."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "latent-status--label", "latent-status--value", "latent-status--note", "latent-status--live",
        "latent-status--view",
    }  # fmt: skip

    @dataclass
    class Chosen(Message):
        view: int

    facts: reactive[LatentFacts] = reactive(LatentFacts())

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[int] = []
        """Where each view's name ends."""

    def render(self) -> Text:
        width = self.size.width
        right = self._right()
        room = width - right.cell_len - 2
        names, items = True, list(self.facts.items)
        line = self._left(names, items, keys=True)
        if line.cell_len > room:
            line = self._left(names, items, keys=False)
        while len(items) > 1 and line.cell_len > room:
            items.pop()
            line = self._left(names, items, keys=False)
        if line.cell_len > room:
            line = self._left(False, items, keys=False)
        right.truncate(max(0, width - line.cell_len - 2), overflow="ellipsis")
        space = " " * max(1, width - line.cell_len - right.cell_len)
        return Text.assemble(line, space, right, no_wrap=True, overflow="crop")

    def on_click(self, event: Click) -> None:
        at = event.x - self.gutter.left
        for number, end in enumerate(self._ends):
            if at < end:
                self.post_message(self.Chosen(number))
                return

    def _left(self, names: bool, items: list[Item], keys: bool) -> Text:
        facts = self.facts
        label, value, view = self._ink("label"), self._ink("value"), self._ink("view")
        line = Text()
        self._ends = []
        for number, name in enumerate(facts.views):
            if names or number == facts.view:
                line.append("  " if line else "").append(name, view if number == facts.view else label)
            self._ends.append(line.cell_len)
        for item in items:
            line.append("   ").append(legible(item.label) + " ", label).append(legible(item.value), value)
            if keys and item.key:
                line.append(" " + legible(item.key), label)
        return line

    def _right(self) -> Text:
        facts = self.facts
        if facts.note:
            return Text(legible(facts.note), self._ink("note"))
        live = ("live ", self._ink("live")) if facts.live else ""
        return Text.assemble(live, (legible(facts.weights), self._ink("note")))

    def _ink(self, name: str) -> Style:
        return self.get_component_rich_style(f"latent-status--{name}", partial=True)
