"""Shows a run's warnings, its errors and the trainer's own output, and finds words in them."""

from __future__ import annotations

import asyncio
import re
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from tui_vae.runs.events import ErrorEvent
from tui_vae.runs.history import History
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.list_keys import SCROLL_KEYS
from tui_vae.ui.session import RunSession
from tui_vae.ui.terminal import legible

TAIL = 64 << 10
"""Bytes of the trainer's output that are shown."""

ABOVE = 3
"""Lines that stay in sight above a line that was found."""


class LogPane(VerticalScroll, can_focus=True):
    """Follows the newest line until it is scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *SCROLL_KEYS,
        Binding("/", "search", "search", id="log.search", tooltip="Search in the log; enter goes to the next place"),
        Binding("escape", "leave", "back", id="log.leave", show=False, tooltip="Leave the search, then the log"),
    ]

    class Left(Message):
        """The user leaves the log."""

    def __init__(self, session: RunSession) -> None:
        super().__init__(id="log")
        self.session = session
        self.border_title = "warnings, errors and trainer.log"
        self._shown: Content | None = None
        self._words = ""
        self._found: list[int] = []
        """The numbers of the lines with the words."""
        self._at = -1
        """Which of them was gone to last; -1: none."""
        self._say()

    def compose(self) -> ComposeResult:
        yield Static(markup=False)
        yield Input(placeholder="search", compact=True, id="log-search")

    def on_mount(self) -> None:
        self._search_line.display = False

    @property
    def _search_line(self) -> Input:
        return self.query_one("#log-search", Input)

    def _say(self) -> None:
        keys = "↑ ↓ scroll · / search · w or escape: back to the curves"
        found = f"{self._at + 1} of {len(self._found)} lines" if self._at >= 0 else f"{len(self._found)} lines"
        text = f"{found} with {self._words!r} · enter: the next" if self._words else keys
        self.border_subtitle = Content(glyphs().plain(text))

    def refresh_history(self) -> None:
        """Read again what the trainer has written."""
        self.run_worker(self._load(), group="log", exclusive=True)

    async def _load(self) -> None:
        words = await asyncio.to_thread(self.session.directory.output, TAIL)
        content = log_text(self.session.history, words)
        if content != self._shown:
            at_end, self._shown = self.scroll_offset.y >= self.max_scroll_y, content
            self._show()
            if at_end and not self._words:
                self.call_after_refresh(self.scroll_end, animate=False)

    def _show(self) -> None:
        content = self._shown or Content("")
        lines = content.plain.split("\n")
        self._found = [at for at, line in enumerate(lines) if self._words and self._words.lower() in line.lower()]
        if self._words:
            pattern = re.compile(re.escape(self._words), re.IGNORECASE)
            content = content.highlight_regex(pattern, style="$on-accent on $accent")
        self.query_one(Static).update(content)
        self._say()

    def action_search(self) -> None:
        self._search_line.display = True
        self._search_line.focus()

    def action_leave(self) -> None:
        if self._search_line.display:
            self._search_line.value = ""
            self._search_line.display = False
            self.focus()
        else:
            self.post_message(self.Left())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._words, self._at = event.value.strip(), -1
        self._show()
        if self._found:
            self._go_to(len(self._found) - 1)  # the newest: what is looked for has mostly just happened

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._found:
            self._go_to((self._at - 1) % len(self._found))

    def _go_to(self, number: int) -> None:
        """Show one of the lines that were found."""
        self._at = number
        self._say()
        before = "\n".join((self._shown or Content("")).plain.split("\n")[: self._found[number]])
        row = Content(before).get_height({}, max(1, self.query_one(Static).size.width)) if before else 0
        self.scroll_to(y=max(0, row - ABOVE), animate=False, force=True)


INDENT = " " * len("00:00:00  warning  ")
"""What stands before a hint: it begins below the message."""


def log_text(history: History, words: str) -> Content:
    """The run's messages, each with its time and what to do about it, and the trainer's words."""
    lines: list[Content] = []
    for message in history.messages:
        clock = time.strftime("%H:%M:%S", time.localtime(message.t))
        kind, style = ("error  ", "$error") if isinstance(message, ErrorEvent) else ("warning", "$warning")
        lines.append(Content.assemble((f"{clock}  ", "$label"), (f"{kind}  ", style), legible(message.message)))
        if message.hint:
            lines.append(Content.assemble(INDENT, (legible(with_keys(message.hint)), "$note")))
    if not lines:
        lines.append(Content.styled("no warnings, no errors", "$label"))
    lines += [Content(""), Content.styled("trainer.log", "$label")]
    lines += [Content(legible(line)) for line in words.splitlines()] or [Content.styled("empty", "$label")]
    return Content("\n").join(lines)
