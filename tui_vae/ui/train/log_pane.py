"""Shows a run's warnings, its errors and the trainer's own output, and finds words in them."""

from __future__ import annotations

import asyncio
import re
import time
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui_vae.runs.events import ErrorEvent
from tui_vae.runs.history import History
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.list_keys import SCROLL_KEYS
from tui_vae.ui.newest_worker import run_newest
from tui_vae.ui.run_progress import lower_rate
from tui_vae.ui.session import RunSession
from tui_vae.ui.terminal import legible
from tui_vae.ui.workarounds.key_bursts import Input

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
        self._lines: list[Line] | None = None
        self._starts: list[int] = []
        """For each line the row that it begins in: a long one has several."""
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
        if self._words and not self._found:
            text = f"no line with {self._words!r} · escape leaves the search"
        self.border_subtitle = Content(glyphs().plain(text))

    def refresh_history(self) -> None:
        """Read again what the trainer has written."""
        run_newest(self, self._load, "log")

    async def _load(self) -> None:
        words = await asyncio.to_thread(self.session.directory.output, TAIL)
        lines = log_lines(self.session.history, words)
        if lines != self._lines:
            at_end, self._lines = self.scroll_offset.y >= self.max_scroll_y, lines
            self._show()
            if at_end and not self._words:
                self.call_after_refresh(self.scroll_end, animate=False)

    def _show(self) -> None:
        lines, words = self._lines or [], self._words.lower()
        self._found = [at for at, line in enumerate(lines) if words and words in line.content.plain.lower()]
        pattern = re.compile(re.escape(words), re.IGNORECASE)
        rows: list[Content] = []
        self._starts = []
        for line in lines:
            content = line.content.highlight_regex(pattern, style="$on-accent on $accent") if words else line.content
            self._starts.append(len(rows))
            rows += folded(Line(content, line.indent), max(1, self.scrollable_content_region.width))
        self.query_one(Static).update(Content("\n").join(rows))
        self._say()

    def on_resize(self) -> None:
        self._show()

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
        self.scroll_to(y=max(0, self._starts[self._found[number]] - ABOVE), animate=False, force=True)


INDENT = " " * len("00:00:00  warning  ")
"""What stands before a hint, and before what a message has below its first line."""

STEP = 2
"""Columns by which the rest of a broken line of the trainer's own stands further to the right than its first row."""

LEAST_WORDS = 24
"""Columns that words have beside an indent, at least; else the indent is a `STEP`."""


class Line(NamedTuple):
    """A line of the log; what does not fit into its first row begins below its column `indent`."""

    content: Content
    indent: int = 0


def folded(line: Line, width: int) -> list[Content]:
    """The rows of a line in so many columns."""
    content, indent = line
    if content.cell_length <= width:
        return [content]
    if width - indent < LEAST_WORDS:
        indent = min(STEP, width - 1)
    start = indent if content.plain[:indent].endswith(" ") else max(0, indent - STEP)
    head, words = content.divide([start]) if start else (Content(""), content)
    first, *rest = words.wrap(max(1, width - indent))
    return [head + first, *(Content(" " * indent) + row for row in rest)]


def log_lines(history: History, words: str) -> list[Line]:
    """The run's messages, each with its time and what to do about it, and the trainer's words."""
    lines: list[Line] = []
    errors = [message for message in history.messages if isinstance(message, ErrorEvent)]
    with_lower = lower_rate(history)
    for message in history.messages:
        clock = time.strftime("%H:%M:%S", time.localtime(message.t))
        kind, style = ("error  ", "$error") if isinstance(message, ErrorEvent) else ("warning", "$warning")
        text = Content.assemble((f"{clock}  ", "$label"), (f"{kind}  ", style), legible(message.message))
        lines.append(Line(text, len(INDENT)))
        if message.hint:
            hint = with_lower if with_lower and message is errors[-1] else with_keys(message.hint)
            text = Content.assemble(INDENT, (legible(hint), "$note"))
            lines.append(Line(text, len(INDENT)))
    if not lines:
        lines.append(Line(Content.styled("no warnings, no errors", "$label")))
    lines += [Line(Content("")), Line(Content.styled("trainer.log", "$label"))]
    output = [Line(Content(legible(line)), len(line) - len(line.lstrip()) + STEP) for line in words.splitlines()] or [
        Line(Content.styled("empty", "$label"))
    ]
    return [*lines, *output]
