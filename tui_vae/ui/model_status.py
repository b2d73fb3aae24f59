"""The line above the views of Browse and Latent: the settings of the view in front, and which weights made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui_vae.ui.fitting import SEPARATOR, parts_that_fit
from tui_vae.ui.terminal import legible


@dataclass(frozen=True)
class Item:
    """One setting, `class Coat c`: a label, its value, and the key that changes it."""

    label: str
    value: str
    key: str = ""
    stays: bool = False
    """Whether it says what the picture is, so that it is among the last to be left out of a short line."""


@dataclass(frozen=True)
class StatusFacts:
    """What the line says. A note stands in place of the weights."""

    items: tuple[Item, ...] = ()
    """The most important one first, which is never left out: the last ones are where the line is short."""
    weights: str = ""
    live: bool = False
    """Whether the weights are changing."""
    note: str = ""
    views: tuple[str, ...] = ()
    """The names of all views, which lead the line; none where the pane does not name them."""
    view: int = 0
    """The place among `views` of the one in front."""


class ModelStatus(Widget):
    """Draws the facts. A short line leaves out first the keys, then the last items that do not have to stay, then the
    names of other views, then how old the weights are, and what it must of the other items."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    ModelStatus {
        height: 1;
        padding: 0 1;
        & > .model-status--label { color: $label; }
        & > .model-status--value { color: $emphasis; }
        & > .model-status--view { color: $accent; }
        & > .model-status--note { color: $note; }
        & > .model-status--live { color: $success; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"model-status--{name}" for name in ("label", "value", "view", "note", "live")
    }

    @dataclass
    class Chosen(Message):
        """A click on the name of a view."""

        view: int

    facts: reactive[StatusFacts] = reactive(StatusFacts())

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[int] = []
        """For each view, the column at which its name ends."""

    def render(self) -> Text:
        width = self.size.width
        right = self._right()
        room = width - right.cell_len - 2
        items = list(self.facts.items)
        line = self._left(items, keys=True)
        if line.cell_len > room:
            line = self._left(items)
        while line.cell_len > room and (spare := [item for item in items[1:] if not item.stays]):
            items.remove(spare[-1])
            line = self._left(items)
        if line.cell_len > room:
            line = self._left(items, all_views=False)
        while line.cell_len > width and len(items) > 1:
            items.pop()
            line = self._left(items, all_views=False)
        room = max(0, width - line.cell_len - 2)
        if right.cell_len > room and not self.facts.note:
            right = self._right(room)
        right.truncate(room, overflow="ellipsis")
        space = " " * max(1, width - line.cell_len - right.cell_len)
        return Text.assemble(line, space, right, no_wrap=True, overflow="crop")

    def on_click(self, event: Click) -> None:
        at = event.x - self.gutter.left
        for number, end in enumerate(self._ends):
            if at < end:
                self.post_message(self.Chosen(number))
                return

    def _left(self, items: list[Item], keys: bool = False, all_views: bool = True) -> Text:
        facts = self.facts
        label, value, view = self._ink("label"), self._ink("value"), self._ink("view")
        line = Text()
        self._ends = []
        for number, name in enumerate(facts.views):
            if all_views or number == facts.view:
                line.append("  " if line else "").append(name, view if number == facts.view else label)
            self._ends.append(line.cell_len)
        for item in items:
            line.append("   " if line else "")
            line.append(legible(item.label) + " ", label).append(legible(item.value), value)
            if keys and item.key:
                line.append(" " + legible(item.key), label)
        return line

    def _right(self, room: int | None = None) -> Text:
        """The note, or which weights made what is shown: as much of that as fits whole, where there is little room."""
        facts = self.facts
        if facts.note:
            return Text(legible(facts.note), self._ink("note"))
        live = "live " if facts.live else ""
        weights = facts.weights
        if room is not None:
            weights = parts_that_fit(weights.split(SEPARATOR), room - len(live))
        live = live if weights else live.rstrip()
        return Text.assemble((live, self._ink("live")), (legible(weights), self._ink("note")))

    def _ink(self, name: str) -> Style:
        return self.get_component_rich_style(f"model-status--{name}", partial=True)
