"""What the terminal can do, read from the environment before Textual is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

_TRUE_COLOUR_TERMINALS = ("alacritty", "foot", "ghostty", "xterm-ghostty", "wezterm", "xterm-kitty", "contour")
"""Values of TERM that mean true colour without saying so; SSH drops COLORTERM, and Textual takes 16 colours."""


ASCII_WORDS = str.maketrans(
    {"α": "alpha", "β": "b", "γ": "gamma", "λ": "lambda", "μ": "mu", "σ": "sigma", "Σ": "sum ", "²": "^2",
     "\N{COMBINING CIRCUMFLEX ACCENT}": "^", "½": "1/2 ", "¼": "1/4", "±": "+-", "×": "x", "≤": "<=", "≥": ">=",
     "≈": "~", "°": "", "·": "|", "•": "*", "…": "...", "−": "-", "–": "-", "—": "-", "‹": "<", "›": ">", "◂": "<",
     "▸": ">", "▾": "v", "≡": "~", "←": "<-", "→": "->", "↑": "up", "↓": "down", "⏎": "enter",
     "✓": "ok", "✗": "BAD"}
)  # fmt: skip
"""What replaces a character in a terminal without Unicode."""


BROWSER_DRIVER = "tui_vae.ui.workarounds.browser_driver:BrowserDriver"
"""The value of TEXTUAL_DRIVER in a process of `tui-vae serve`: its terminal is a tab of a browser."""


def is_in_browser(environ: Mapping[str, str]) -> bool:
    """Whether the app is shown by a browser, through a pipe to the server."""
    return environ.get("TEXTUAL_DRIVER") == BROWSER_DRIVER


def why_unsuitable(environ: Mapping[str, str], is_terminal: bool) -> tuple[str, str] | None:
    """Why the app cannot run here and what to do about it; None where it can."""
    term = environ.get("TERM", "")
    if not is_terminal:
        return "the app needs a terminal", "the commands train, ls and show print plain text"
    if term in ("", "dumb", "unknown"):
        hint = "set TERM, for example to xterm-256color, or use the commands train, ls and show"
        return f"the app needs a terminal that can move its cursor, and TERM is {term or 'not set'}", hint
    return None


def may_report_mouse(environ: Mapping[str, str]) -> bool:
    """Whether the mouse may be asked for. GNU screen (4.9) with mouse reports on keeps escape until the next key."""
    in_gnu_screen = "STY" in environ or environ.get("TERM", "").startswith("screen.")
    return "TMUX" in environ or not in_gnu_screen


def has_unicode(environ: Mapping[str, str]) -> bool:
    """Whether the locale allows UTF-8. So does having none, as in most containers."""
    category = environ.get("LC_CTYPE", "")
    if category == "C.UTF-8" and environ.get("LANG", "") in ("C", "POSIX"):
        category = ""  # Python itself puts this there when it starts under LANG=C (PEP 538).
    locale = environ.get("LC_ALL") or category or environ.get("LANG", "")
    return not locale or "utf" in locale.lower()


def without_accents(text: str) -> str:
    """The text's ASCII letters and signs: é becomes e, and what is like none of them is left out."""
    import unicodedata

    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def legible(text: str) -> str:
    """The text in characters that this terminal can show."""
    return text if text.isascii() or has_unicode(os.environ) else text.translate(ASCII_WORDS)


COLOURS = {"truecolor": "truecolor", "256": "256", "16": "standard"}
"""Textual's names of the values of `--color`, which are these, `auto` and `none`."""


def is_monochrome(term: str) -> bool:
    """Whether the terminal database knows this TERM and says that it has no colours, as of vt100 and xterm-mono.

    A process can ask it about one TERM only.
    """
    if not term or "color" in term or term.startswith(_TRUE_COLOUR_TERMINALS):
        return False
    try:
        import curses

        curses.setupterm(term, os.dup(1))  # it keeps the descriptor
        return curses.tigetnum("colors") <= 0
    except Exception:  # curses is missing, or the database, or its entry
        return False


def prepare_environment(environ: MutableMapping[str, str], colour: str = "auto") -> None:
    """Set what Textual reads at its import: no animations, and the colours asked for, or those of the terminal."""
    environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if environ.get("NO_COLOR") == "":  # no wish, by the convention (https://no-color.org); Textual takes it for one
        del environ["NO_COLOR"]
    if colour == "none":
        environ["NO_COLOR"] = "1"
    elif colour in COLOURS:
        environ.pop("NO_COLOR", None)
        environ["TEXTUAL_COLOR_SYSTEM"] = COLOURS[colour]
    term = environ.get("TERM", "")
    if colour == "auto" and "COLORTERM" not in environ and is_monochrome(term):
        environ["NO_COLOR"] = "1"  # else it is sent 16 colours, which it leaves out: then only shapes differ
    if "COLORTERM" not in environ and (term.startswith(_TRUE_COLOUR_TERMINALS) or term.endswith("-direct")):
        environ.setdefault("TEXTUAL_COLOR_SYSTEM", "truecolor")
