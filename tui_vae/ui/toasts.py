"""Which notifications say the same thing: of those only the newest stays on the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.notifications import Notification
from textual.screen import Screen
from textual.widgets._toast import ToastRack

from tui_vae.ui.terminal import legible

_FIGURES = re.compile(r"[×÷]?\d[\d.,]*(?:e[+-]?\d+)?")


def stem(message: str) -> str:
    """The message without its figures: `Learning rate 0.0025` and `Learning rate 0.002` say the same thing."""
    return _FIGURES.sub("#", message)


def take_away(screen: Screen[object], notification: Notification) -> None:
    """Remove a toast with the container around it, which Textual (8.2) leaves there as an empty line."""
    for rack in screen.query(ToastRack):
        for holder in rack.query_children(f"#{rack._toast_id(notification)}"):
            holder.remove()


def withdraw(app: App[Any], message: str, title: str = "") -> None:
    """Take away what says the same, because it is said anew or is no longer so."""
    for each in outdated(app._notifications, legible(message), title):
        app._unnotify(each, refresh=False)
        take_away(app.screen, each)


def outdated(shown: Iterable[Notification], message: str, title: str) -> list[Notification]:
    """The notifications that one with this message and title replaces."""
    return [each for each in shown if each.title == title and stem(each.message) == stem(message)]
