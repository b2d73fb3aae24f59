"""The bottom line: as many of the keys that work now as fit; the keys that everybody needs stand at the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget

from tui_vae.ui.commands import Command, commands
from tui_vae.ui.terminal import legible

GAP = 3
"""Cells between two entries."""


@dataclass
class Hint:
    """One entry of the bar: a command, or a group of them that share a description."""

    keys: list[tuple[str, str]]
    """For each key its text and its name."""
    description: str
    id: str | None
    """Of its first key's binding."""

    @property
    def width(self) -> int:
        """Cells of the keys and the description."""
        return sum(len(shown) + 1 for shown, _ in self.keys) + len(self.description)


def hints(commands: list[Command]) -> list[Hint]:
    """The entries for these commands, in their order; those of a group of bindings become one."""
    found: dict[object, Hint] = {}
    for command in commands:
        group = command.binding.group
        description = group.description if group else command.description
        id = command.binding.id
        hint = found.setdefault(group or id, Hint([], legible(description), id))
        hint.keys.append((command.keys[0], command.binding.key))
    return list(found.values())


FIRST = "run.pause"
"""The id of the binding that is kept where there is little room: nothing else on screen says that a run is steered."""


def fitting(hints: list[Hint], width: int) -> list[Hint]:
    """As many entries as fit into the width: `FIRST`, then from the left."""
    kept: list[int] = []
    for at, hint in sorted(enumerate(hints), key=lambda entry: entry[1].id != FIRST):
        needed = hint.width + (GAP if kept else 0)
        if needed <= width:
            width -= needed
            kept.append(at)
    return [hints[at] for at in sorted(kept)]


class KeyBar(Widget, can_focus=False):
    """One line of keys and what they do; a click on a key acts like the key."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-bar--key", "key-bar--description"}
    DEFAULT_CSS = """
    KeyBar {
        height: 1;
        dock: bottom;
        padding: 0 1;
        background: $bar;
        & > .key-bar--key { color: $accent; }
        & > .key-bar--description { color: $note; }
    }
    """

    LAST = ("app.help", "app.palette", "app.leave")
    """The ids of the bindings at the right, which are shown first where there is little room."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[str] = []
        """The key that a click on each cell stands for."""
        self._shown: Text | None = None

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and self._line() != self._shown:  # seldom: Textual also reports a mere change of focus
            self.refresh()

    def render(self) -> Text:
        self._shown = self._line()
        return self._shown

    def _line(self) -> Text:
        shown = [
            it
            for it in commands(self.app, self.screen.active_bindings.values())
            if it.binding.show and it.makes_sense_now
        ]
        right = hints([command for command in shown if command.binding.id in self.LAST])
        left = hints([command for command in shown if command.binding.id not in self.LAST])
        taken = sum(hint.width for hint in right) + GAP * len(right)
        left = fitting(left, self.size.width - taken)
        space = self.size.width - taken - sum(hint.width for hint in left) - GAP * max(0, len(left) - 1)
        self._keys = []
        line = Text(no_wrap=True, overflow="crop")
        self._append(line, left)
        line.append(" " * (max(0, space) + GAP))
        self._append(line, right)
        return line

    def _append(self, line: Text, hints: list[Hint]) -> None:
        key_style = self.get_component_rich_style("key-bar--key", partial=True)
        description_style = self.get_component_rich_style("key-bar--description", partial=True)
        for number, hint in enumerate(hints):
            line.append(" " * GAP if number else "")
            for shown, key in hint.keys:
                self._keys += [key] * (line.cell_len - len(self._keys))
                line.append(shown, key_style).append(" ")
                self._keys += [key] * (line.cell_len - len(self._keys))
            line.append(hint.description, description_style)
            self._keys += [hint.keys[-1][1]] * (line.cell_len - len(self._keys))

    def on_click(self, event: Click) -> None:
        at = event.x - self.gutter.left
        if 0 <= at < len(self._keys):
            self.app.simulate_key(self._keys[at])
