"""The app's commands, made from the active bindings; the key bar, the help and the palette show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode
from textual.screen import Screen

from tui_vae.ui.terminal import legible


class KeysInContext:
    """A screen or a pane that knows which of its actions make sense at the moment."""

    def makes_sense_now(self, action: str) -> bool:
        """Whether an action, named without its parameters, makes sense now. Its key works either way, and says why."""
        return True

    @property
    def signs(self) -> tuple[tuple[str, str], ...]:
        """Signs and figures on the screen that need a word in the help, each with what it means."""
        return ()

    def description_now(self, action: str) -> str:
        """What an action does now, for the key bar, where its binding's own description does not say it; else empty."""
        return ""


@dataclass
class Command:
    """One action and the keys that lead to it."""

    binding: Binding
    node: DOMNode
    keys: list[str]
    """As the user sees them."""

    @property
    def everywhere(self) -> bool:
        """Whether it belongs to the whole screen, and not to the pane."""
        return isinstance(self.node, Screen | App)

    @property
    def makes_sense_now(self) -> bool:
        """Whether it makes sense now. The key bar leaves other commands out; their keys say why they do nothing."""
        return not isinstance(self.node, KeysInContext) or self.node.makes_sense_now(self.action.partition("(")[0])

    @property
    def description(self) -> str:
        """What it does now, in a word or two."""
        now = self.node.description_now(self.action.partition("(")[0]) if isinstance(self.node, KeysInContext) else ""
        return now or self.binding.description

    @property
    def action(self) -> str:
        return self.binding.action

    @property
    def tooltip(self) -> str:
        return legible(self.binding.tooltip)


def commands(app: App[Any], active: Iterable[ActiveBinding]) -> list[Command]:
    """The active bindings by action, without those that have no id, which are Textual's own."""
    found: dict[tuple[DOMNode, str], Command] = {}
    for node, binding, enabled, _ in active:
        if binding.id is None or not enabled:
            continue
        command = found.setdefault((node, binding.action), Command(binding, node, []))
        command.keys.append(legible(app.get_key_display(binding)))
    return list(found.values())
