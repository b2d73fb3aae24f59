"""The keys by which all lists move besides the arrows: j and k, g and G, as in vi and less."""

from __future__ import annotations

from textual.binding import Binding

LIST_KEYS = (
    Binding("j", "cursor_down", "down", id="list.down", show=False, tooltip="The next line"),
    Binding("k", "cursor_up", "up", id="list.up", show=False, tooltip="The line before"),
    Binding("g", "first", "first", id="list.first", show=False, tooltip="The first line"),
    Binding("G", "last", "last", id="list.last", show=False, tooltip="The last line"),
)
"""Of Textual's `OptionList`."""

SCROLL_KEYS = (
    Binding("j", "scroll_down", "down", id="scroll.down", show=False, tooltip="A line down"),
    Binding("k", "scroll_up", "up", id="scroll.up", show=False, tooltip="A line up"),
    Binding("g", "scroll_home", "first", id="scroll.first", show=False, tooltip="To the first line"),
    Binding("G", "scroll_end", "last", id="scroll.last", show=False, tooltip="To the last line"),
)
"""Of whatever scrolls."""
