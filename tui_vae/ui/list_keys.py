"""The keys by which all lists move: arrows, and j and k, g and G, as in vi and less."""

from __future__ import annotations

from textual.binding import Binding

LIST_KEYS = (
    Binding("up,k", "cursor_up", "up", id="list.up", show=False, tooltip="The line before"),
    Binding("down,j", "cursor_down", "down", id="list.down", show=False, tooltip="The next line"),
    Binding("home,g", "first", "first", id="list.first", show=False, tooltip="The first line"),
    Binding("end,G", "last", "last", id="list.last", show=False, tooltip="The last line"),
)
"""Of Textual's `OptionList`."""

SCROLL_KEYS = (
    Binding("up,k", "scroll_up", "up", id="scroll.up", show=False, tooltip="A line up"),
    Binding("down,j", "scroll_down", "down", id="scroll.down", show=False, tooltip="A line down"),
    Binding("home,g", "scroll_home", "first", id="scroll.first", show=False, tooltip="To the first line"),
    Binding("end,G", "scroll_end", "last", id="scroll.last", show=False, tooltip="To the last line"),
)
"""Of whatever scrolls."""
