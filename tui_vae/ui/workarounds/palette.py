"""The command palette: Textual's, for people who type quickly, or whose keys come in bursts as over a slow line.

Written for Textual 8.2, whose palette runs a command that nobody chose in three cases. Its list shows the commands of
the text before for as long as a search runs, and keys act on them. A second `enter` runs the command again. And keys
that were read together with the one that opens it go to the screen below: of `ctrl+p`, a word and `enter` only `enter`
is left, which runs the first command of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from textual import on
from textual.app import App
from textual.command import CommandInput, CommandPalette
from textual.events import Event, Key
from textual.screen import Screen
from textual.widgets import Input, OptionList
from textual.worker import Worker, WorkerState


class Palette(CommandPalette):
    """Keys that move in the list or choose from it take effect once it is that of the text in the input."""

    def __init__(self) -> None:
        super().__init__(id="--command-palette")
        self._search: Worker[Any] | None = None
        self._text = ""
        """What is searched, or was last."""
        self._has_chosen = False
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        """What keys are to do, each with the text that was in the input then."""

    def focus_input(self) -> None:
        """Let the next key be the input's, which Textual focuses only some moments after the screen is there."""
        self.set_focus(self.query_one(CommandInput))

    def _gather_commands(self, search_value: str) -> Worker[Any]:
        self._waiting = [(text, act) for text, act in self._waiting if text == search_value]
        self._text = search_value
        self._search = super()._gather_commands(search_value)
        return self._search

    def on_worker_state_changed(self) -> None:
        if self._has_found():
            self._catch_up()

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, act in waiting:
            act()

    def _has_found(self) -> bool:
        """Whether the list is that of the text in the input."""
        is_found = self._search is not None and self._search.state == WorkerState.SUCCESS
        return is_found and self._typed() == self._text

    def _typed(self) -> str:
        return self.query_one(CommandInput).value.strip()

    def _once_found(self, act: Callable[[], None]) -> None:
        self._waiting.append((self._typed(), act))
        if self._has_found():
            self._catch_up()

    def _action_cursor_down(self) -> None:
        self._once_found(super()._action_cursor_down)

    def _action_command_list(self, action: str) -> None:
        self._once_found(partial(super()._action_command_list, action))

    @on(Input.Submitted)
    def _wait_to_submit(self, event: Input.Submitted) -> None:
        event.stop()
        event.prevent_default()
        if not self._has_chosen:
            self._once_found(self._select_or_command)

    @on(OptionList.OptionSelected)
    def _choose_once(self, event: OptionList.OptionSelected) -> None:
        if self._has_chosen:
            event.stop()
            event.prevent_default()
        self._has_chosen = True


class KeysOnTheirWay:
    """The keys that an app has sent to its screens, which bubble back to it where no widget has taken them."""

    MOST = 256
    """Keys that are remembered: more than are read at once."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._sent: deque[tuple[Key, Screen[Any]]] = deque(maxlen=self.MOST)

    def redirect(self, event: Event) -> bool:
        """Whether this is a key that came back from the screen below the palette: the palette's input gets it then."""
        if not isinstance(event, Key):
            return False
        screen = self._app.screen
        if not event.is_forwarded:
            self._sent.append((event, screen))
            return False
        if not isinstance(screen, Palette) or all(sent is not event or to is screen for sent, to in self._sent):
            return False
        (self._app.focused or screen)._forward_event(Key(event.key, event.character))
        return True
