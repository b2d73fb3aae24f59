"""Text from files and processes of others, without what would steer a terminal: cleaned once, where it enters."""

from __future__ import annotations

import re

_SEQUENCES = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor, modes (CSI)
    # titles, the clipboard (OSC, DCS, SOS, PM, APC), with their contents
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
"""Escape sequences as a whole (ECMA-48), so that nothing of them is left to read."""

_CONTROLS = (
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters but the newline, halves of surrogate pairs, and invisible characters, among them those that turn
the direction of writing: with these a name can pass for another one."""

_SUSPICIOUS = f"\n|{_CONTROLS}"


def plain_lines(text: str) -> str:
    """Text of several lines, ended by newlines alone; a tab is four spaces."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return re.sub(_CONTROLS, "", re.sub(_SEQUENCES, "", text))


def plain(text: str) -> str:
    """Text as one line; the text itself where there is nothing to clean."""
    if text.isascii() and text.isprintable():  # nearly all: the patterns are then not even compiled
        return text
    if not re.search(_SUSPICIOUS, text):
        return text
    return plain_lines(text).replace("\n", " ")
