"""Styles in fewer bytes: of each style, only what differs from the one before is sent to the terminal.

Written for Textual 8.2: it sends every piece of text with its whole style before it and a reset behind it. Without
this, these are most of the bytes of a page of images, though neighbours mostly differ in one of their two colours.

To see whether it is still needed: compare `len(data)` with `len(without_repeated_styles(data))` in
`StyleSavingDriver.write`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from textual.driver import Driver

_STYLE = re.compile(r"\x1b\[([\d;]*)m")
_MOVES = re.compile(r"(?:\n|\x1b\[\d+;\d+H)+")
_UNSEEN_ON_SPACES = frozenset("123")
"""The codes of bold, dim and italic: a space looks the same with and without them."""


class Style(NamedTuple):
    """What a terminal is set to: its attributes in the order they came, and the codes of its two colours, if any."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""

    @property
    def seen_on_spaces(self) -> bool:
        """Whether a space shows more of the style than its ground."""
        return not _UNSEEN_ON_SPACES.issuperset(self.attributes)


PLAIN = Style()


def without_repeated_styles(data: str) -> str:
    """The same picture in fewer bytes. Like what Textual sends, it starts and ends with no style set."""
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
    """The style nearest to the present one in which spaces look as they do in the wanted one."""
    seen = now.seen_on_spaces or wanted.seen_on_spaces
    return wanted if seen else Style(now.attributes, now.foreground, wanted.background)


@lru_cache(maxsize=16384)
def _set(style: Style, codes: str) -> Style:
    """The style after `ESC [ codes m`."""
    attributes, foreground, background = list(style.attributes), style.foreground, style.background
    rest = codes.split(";")
    while rest:
        code = rest[0].lstrip("0")
        taken = 1 if code not in ("38", "48") else 3 if rest[1:2] == ["5"] else 5
        whole, rest = ";".join(rest[:taken]), rest[taken:]
        if not code:
            attributes, foreground, background = [], "", ""
        elif re.fullmatch(r"3\d|9\d", code):
            foreground = "" if code == "39" else whole
        elif re.fullmatch(r"4\d|10\d", code):
            background = "" if code == "49" else whole
        else:
            attributes.append(code)
    return Style(tuple(attributes), foreground, background)


@lru_cache(maxsize=65536)
def _change(now: Style, wanted: Style) -> str:
    """The shortest sequence that turns one style into another."""
    if wanted == now:
        return ""
    if wanted == PLAIN:
        return "\x1b[m"
    known = len(now.attributes)
    if wanted.attributes[:known] == now.attributes:
        codes = list(wanted.attributes[known:])
    else:
        codes, now = ["0", *wanted.attributes], PLAIN
    if wanted.foreground != now.foreground:
        codes.append(wanted.foreground or "39")
    if wanted.background != now.background:
        codes.append(wanted.background or "49")
    return f"\x1b[{';'.join(codes)}m"


class StyleSavingDriver(Driver):
    """Mixin that shortens what a driver writes: derive a class from this one and a driver."""

    def write(self, data: str) -> None:
        super().write(without_repeated_styles(data))  # type: ignore[safe-super]


def style_saving(driver: type[Driver]) -> type[Driver]:
    """A driver like this one that sends no style twice."""
    return type("StyleSaving" + driver.__name__, (StyleSavingDriver, driver), {})
