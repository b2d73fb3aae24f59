"""The app's commands, read off the bindings that are active: the key bar, the help and the palette all show these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode
from textual.screen import Screen

from tui_vae.ui.terminal import legible


@runtime_checkable
class Timely(Protocol):
    """A node that knows which of its actions make sense at the moment."""

    def timely(self, action: str) -> bool: ...


@dataclass
class Command:
    """One action and the keys that lead to it."""

    binding: Binding
    node: DOMNode
    keys: list[str]
    """As they are shown."""

    @property
    def everywhere(self) -> bool:
        """Whether it belongs to the whole screen, not to the pane in front."""
        return isinstance(self.node, Screen | App)

    @property
    def timely(self) -> bool:
        """Whether it makes sense at the moment. The key bar leaves the others out; their keys say why not."""
        return not isinstance(self.node, Timely) or self.node.timely(self.action.partition("(")[0])

    @property
    def action(self) -> str:
        return self.binding.action

    @property
    def tooltip(self) -> str:
        return legible(self.binding.tooltip)


def commands(app: App[Any], active: Iterable[ActiveBinding]) -> list[Command]:
    """The active bindings by action. Those without an id are Textual's own and left out."""
    found: dict[tuple[DOMNode, str], Command] = {}
    for node, binding, enabled, _ in active:
        if binding.id is None or not enabled:
            continue
        command = found.setdefault((node, binding.action), Command(binding, node, []))
        command.keys.append(legible(app.get_key_display(binding)))
    return list(found.values())
