"""What goes over the wire: of each style only what differs from the one before.

Textual sends every piece of text with its whole style before it and a reset behind it. On a page of images these are
most of the bytes, though neighbours mostly differ in one of their two colours.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from textual.driver import Driver

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
_MOVES = re.compile(r"(?:\n|\x1b\[\d+;\d+H)+")
_UNSEEN_ON_SPACES = frozenset("123")
"""Bold, dim, italic."""


class Style(NamedTuple):
    """What a terminal is set to: attributes in the order they came, and the codes of the two colours, if any."""

    attributes: tuple[str, ...] = ()
    ink: str = ""
    ground: str = ""

    @property
    def seen_on_spaces(self) -> bool:
        """Whether a space shows more of it than the ground."""
        return not _UNSEEN_ON_SPACES.issuperset(self.attributes)


PLAIN = Style()


def spared(data: str) -> str:
    """The same picture in fewer bytes; like what Textual sends, it starts and leaves with no style set."""
    first, *rest = _STYLE.split(data)
    out, now, wanted = [first], PLAIN, PLAIN
    for codes, text in zip(rest[::2], rest[1::2], strict=True):
        wanted = _set(wanted, codes)
        if text and now != wanted and not _MOVES.fullmatch(text):
            needed = _on_spaces(now, wanted) if text.isspace() else wanted
            out.append(_change(now, needed))
            now = needed
        out.append(text)
    if now != PLAIN:
        out.append(_change(now, PLAIN))
    return "".join(out)


@lru_cache(maxsize=16384)
def _on_spaces(now: Style, wanted: Style) -> Style:
    """A style nearer to the present one, in which spaces look as they do in the one that is wanted."""
    seen = now.seen_on_spaces or wanted.seen_on_spaces
    return wanted if seen else Style(now.attributes, now.ink, wanted.ground)


@lru_cache(maxsize=16384)
def _set(style: Style, codes: str) -> Style:
    """What `ESC [ codes m` makes of a style."""
    attributes, ink, ground = list(style.attributes), style.ink, style.ground
    rest = codes.split(";")
    while rest:
        code = rest[0].lstrip("0")
        taken = 1 if code not in ("38", "48") else 3 if rest[1:2] == ["5"] else 5
        whole, rest = ";".join(rest[:taken]), rest[taken:]
        if not code:
            attributes, ink, ground = [], "", ""
        elif re.fullmatch(r"3\d|9\d", code):
            ink = "" if code == "39" else whole
        elif re.fullmatch(r"4\d|10\d", code):
            ground = "" if code == "49" else whole
        else:
            attributes.append(code)
    return Style(tuple(attributes), ink, ground)


@lru_cache(maxsize=65536)
def _change(now: Style, wanted: Style) -> str:
    """The shortest way from one style to another."""
    if wanted == now:
        return ""
    if wanted == PLAIN:
        return "\x1b[m"
    known = len(now.attributes)
    if wanted.attributes[:known] == now.attributes:
        codes = list(wanted.attributes[known:])
    else:
        codes, now = ["0", *wanted.attributes], PLAIN
    if wanted.ink != now.ink:
        codes.append(wanted.ink or "39")
    if wanted.ground != now.ground:
        codes.append(wanted.ground or "49")
    return f"\x1b[{';'.join(codes)}m"


class Sparing(Driver):
    """Before another driver, spares the terminal what it knows already."""

    def write(self, data: str) -> None:
        super().write(spared(data))  # type: ignore[safe-super]
