"""Texts that have no column at all.

Written for Textual 8.2: in a terminal of one or two columns it wraps the lines of a list to a width of 0, for which
rich raises (`range() arg 3 must not be zero`), and the app ends.

To see whether it is still needed: leave out the call and run `tests/ui/test_narrow_terminals.py`.
"""

from __future__ import annotations

from rich._wrap import divide_line
from textual import content


def _divide_line(text: str, width: int, fold: bool = True) -> list[int]:
    return divide_line(text, max(1, width), fold)


def wrap_to_one_column() -> None:
    """Let texts that have no room be wrapped as if they had one column: nothing of them shows anyway."""
    content.__dict__["divide_line"] = _divide_line
