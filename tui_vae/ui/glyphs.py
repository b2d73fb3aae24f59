"""The glyphs that the app draws with, and plain ones for terminals without Unicode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from tui_vae.ui.terminal import ASCII_WORDS, has_unicode


@dataclass(frozen=True)
class Glyphs:
    """`states` are by the name of a run's state; `corners` are top left, top right, bottom left, bottom right."""

    states: dict[str, str]
    bar: tuple[str, str, str]
    corners: str
    horizontal: str
    vertical: str
    line: str
    test_line: str
    train: str
    test: str
    control: str
    cursor: str
    dot: str
    dash: str
    beta: str
    above: str
    below: str
    dot_mark: str
    braille: bool

    def plain(self, text: str) -> str:
        """The text as this terminal can show it."""
        return text if self.braille else text.translate(ASCII_WORDS)


UNICODE = Glyphs(
    states={
        "queued": "≡",
        "loading": "…",
        "training": "▶",
        "paused": "║",
        "stopped": "■",
        "finished": "✔",
        "failed": "✖",
        "crashed": "✖",
        "unreadable": "?",
    },
    bar=("━", "╸", "─"),
    corners="╭╮╰╯",
    horizontal="─",
    vertical="│",
    line="━",
    test_line="━",
    train="○",
    test="●",
    control="┊",
    cursor="│",
    dot="·",
    dash="—",
    beta="β",
    above="↑",
    below="↓",
    dot_mark="•",
    braille=True,
)

ASCII = Glyphs(
    states={
        "queued": "~",
        "loading": ".",
        "training": ">",
        "paused": "=",
        "stopped": "#",
        "finished": "*",
        "failed": "!",
        "crashed": "!",
        "unreadable": "?",
    },
    bar=("=", ">", "-"),
    corners="++++",
    horizontal="-",
    vertical="|",
    line="*",
    test_line="+",
    train="o",
    test="@",
    control=":",
    cursor="|",
    dot="|",
    dash="-",
    beta="b",
    above="^",
    below="v",
    dot_mark="*",
    braille=False,
)


@cache
def glyphs() -> Glyphs:
    """The glyphs for this terminal."""
    return UNICODE if has_unicode(os.environ) else ASCII


def shortened(text: str, width: int) -> str:
    """The text in so many cells, its middle left out: names often differ at their end."""
    if len(text) <= width:
        return text
    gap = "…" if glyphs().braille else "."
    tail = (width - 1) // 3
    return text[: width - 1 - tail] + gap + text[-tail:] if tail else text[:width]
