"""Whether the terminal's background is light or dark: by its own answer (OSC 11), else by COLORFGBG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from textual.message import Message

ASK = "\x1b]11;?\x1b\\"
"""Asks for the background's colour (xterm's control sequences, "Ps = 11"); who does not know it says nothing."""

_BEGIN = "]11;"
_COLOUR = re.compile(r"rgba?:([0-9a-f]{1,4})/([0-9a-f]{1,4})/([0-9a-f]{1,4})(?:/[0-9a-f]{1,4})?", re.IGNORECASE)
_ENDS = ("\x07", "\x1b\\")

MOST = 40
"""Characters of an answer, at most: four numbers of four digits, and the words around them."""

_DARK_NUMBERS = {0, 1, 2, 3, 4, 5, 6, 8}
"""The dark ones of the 16 colours, of which COLORFGBG names one."""


@dataclass
class BackgroundReport(Message):
    """The terminal's answer."""

    light: bool


def may_ask(environ: Mapping[str, str]) -> bool:
    """Whether a terminal can be asked. GNU screen asks the terminal around it, whose answer then comes at any time."""
    term = environ.get("TERM", "")
    return not (term.startswith("linux") or (term.startswith("screen") and "TMUX" not in environ))


def told_by(environ: Mapping[str, str]) -> str:
    """`light` or `dark` as COLORFGBG (`15;0`, `0;default;15`) says; empty where it says nothing."""
    last = environ.get("COLORFGBG", "").rpartition(";")[2]
    if not last.isdecimal() or int(last) > 15:
        return ""
    return "dark" if int(last) in _DARK_NUMBERS else "light"


def report_of(held: str) -> BackgroundReport | None:
    """The report in a whole answer (without its escape character); None where it tells no colour."""
    body = held.removeprefix(_BEGIN).removesuffix(_ENDS[0]).removesuffix(_ENDS[1])
    found = _COLOUR.fullmatch(body)
    if found is None:
        return None
    red, green, blue = (int(digits, 16) / (16 ** len(digits) - 1) for digits in found.groups())
    return BackgroundReport(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)  # ITU-R 601


def is_whole(held: str) -> bool:
    """Whether an answer has come to its end."""
    return held.startswith(_BEGIN) and held.endswith(_ENDS)


def may_become_one(held: str) -> bool:
    """Whether what came after an escape character is, or may become, an answer; else it is keys."""
    if len(held) <= len(_BEGIN):
        return _BEGIN.startswith(held)
    body = held.removeprefix(_BEGIN).removesuffix("\\").removesuffix("\x07").removesuffix("\x1b")
    return held.startswith(_BEGIN) and len(held) <= MOST and body.isprintable()
