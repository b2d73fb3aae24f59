"""A filter for terminals without Unicode: it lets nothing but ASCII through to them, whoever wrote the text.

`terminal.legible` replaces characters in the app's own texts by words, before these are laid out. The filter replaces
what is left by ASCII of the same width: names and messages from outside, Textual's borders, arrows and ellipses.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui_vae.ui.terminal import ASCII_WORDS, without_accents

CELLS = str.maketrans("─━│┃┊┼╭╮╰╯┌┐└┘▲▼▔▁▐▌█…", "--||:" + 9 * "+" + "^v-_||#.")
"""ASCII characters for the borders, arrows, scroll bars and ellipses that Textual draws."""


class AsciiOnly(LineFilter):
    """Replaces each character that is not ASCII by as many ASCII characters as it has cells."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [Segment(ascii_cells(text), style, control) for text, style, control in segments]


@lru_cache(4096)
def ascii_cells(text: str) -> str:
    """The text in ASCII, as many cells wide."""
    return text if text.isascii() else "".join(map(_in_ascii, text))


def _in_ascii(character: str) -> str:
    width = cell_len(character)
    candidates = character.translate(CELLS), character.translate(ASCII_WORDS), without_accents(character)
    return next((each for each in candidates if each.isascii() and len(each) == width), "?" * width)
