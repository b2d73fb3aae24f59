"""Shows a run's warnings, its errors and the trainer's own output."""

from __future__ import annotations

import asyncio
import time

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui_vae.runs.events import ErrorEvent
from tui_vae.runs.history import History
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.session import RunSession
from tui_vae.ui.terminal import legible

TAIL = 64 << 10
"""Bytes of the trainer's output that are shown."""


class LogPane(VerticalScroll, can_focus=True):
    """Follows the newest line until it is scrolled."""

    def __init__(self, session: RunSession) -> None:
        super().__init__(id="log")
        self.session = session
        self.border_title = "warnings, errors and trainer.log"
        self.border_subtitle = glyphs().plain("↑ ↓ scroll · w or escape: back to the curves")
        self._shown: Content | None = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def refresh_history(self) -> None:
        """Read again what the trainer has written."""
        self.run_worker(self._load(), group="log", exclusive=True)

    async def _load(self) -> None:
        words = await asyncio.to_thread(self.session.directory.output, TAIL)
        content = log_text(self.session.history, words)
        if content != self._shown:
            at_end, self._shown = self.scroll_offset.y >= self.max_scroll_y, content
            self.query_one(Static).update(content)
            if at_end:
                self.call_after_refresh(self.scroll_end, animate=False)


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
