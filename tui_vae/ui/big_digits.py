"""Figures two rows high, in half blocks: the one of a screen that is read from afar."""

from __future__ import annotations

_SIGNS = {
    "0": ("█▀█", "█▄█"),
    "1": ("▀█ ", "▄█▄"),
    "2": ("▀▀█", "█▄▄"),
    "3": ("▀██", "▄▄█"),
    "4": ("█▄█", "  █"),
    "5": ("██▀", "▄▄█"),
    "6": ("█▄▄", "█▄█"),
    "7": ("▀▀█", " █ "),
    "8": ("███", "█▄█"),
    "9": ("█▀█", "▀▀█"),
    ".": (" ", "▄"),
    "−": ("▄▄", "  "),
    "—": ("▄▄", "  "),
    " ": (" ", " "),
}
"""Upper and lower row of each sign: four pixels high."""

ROWS = 2


def big(text: str) -> tuple[str, str]:
    """The two rows of a figure, a cell between its signs.

    Raises:
        KeyError: it has a sign that is none of a figure.
    """
    upper, lower = zip(*(_SIGNS[sign] for sign in text), strict=True)
    return " ".join(upper), " ".join(lower)
