"""An option: what it means, which values it takes, and how a value from a shell, a form or a file is checked."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tui_vae.errors import UsageError
from tui_vae.plain_text import plain

WIDTHS = "whole numbers with commas between them, such as 512,256"

MOST_SHOWN = 60
"""Characters of a wrong value that its error message quotes: longer ones would hide what the message says."""

Check = Callable[[str], str]
"""Returns a text as the config keeps it; raises `NotAllowed` for one that the option does not take."""


class Alternative(NamedTuple):
    """Words that a numeric option takes besides numbers: those of `pattern`, which `form` shows, such as `every:K`."""

    pattern: str
    form: str


class NotAllowed(Exception):
    """A value that an option does not take. Its text says what the value must be: `a whole number of at least 1`."""


@dataclass(frozen=True)
class Option:
    """What a field means and which values it takes.

    `unset` is the word that stands for "not given" (Python's None). `minimum` itself is allowed unless `above` is set.
    `check` is for a text that may be more than one of some `choices`, `alternative` for a number that may be words too.
    """

    help: str
    group: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    unset: str | None = None
    check: Check | None = None
    alternative: Alternative | None = None


def matching(pattern: str, expected: str) -> Check:
    """A check that raises `NotAllowed` unless `pattern` matches the whole text; `expected` says in words what it is."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise NotAllowed(expected)
        return text

    return check


def absolute_path(text: str) -> str:
    """A path that means the same in every working directory: a resumed run may have another one.

    Raises:
        NotAllowed: it is not a path.
    """
    try:
        if b"\0" in text.encode():
            raise ValueError
        return str(Path(text).expanduser().absolute())
    except (ValueError, RuntimeError):  # not UTF-8, which config.toml must be; an unknown user's home
        raise NotAllowed("a path") from None


def check_value(option: Option, kind: type, value: Any) -> Any:
    """The value of an option whose values are of type `kind`, from a string that was typed or a value of TOML.

    Raises:
        NotAllowed: it is not a value of this option.
    """
    if option.unset is not None and value in (None, option.unset, ""):
        return None
    if option.choices:
        if isinstance(value, int) and not isinstance(value, bool) and str(value) in option.choices:
            return str(value)  # a file may write a number for a word that is one
        if value not in option.choices:
            raise NotAllowed(f"one of {', '.join(option.choices)}")
        return value
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            raise NotAllowed(WIDTHS)
        try:
            return tuple(_number(option, int, part) for part in parts)
        except NotAllowed:
            raise NotAllowed(f"{WIDTHS}, each{_bounds(option)}") from None
    if option.alternative and isinstance(value, str) and re.fullmatch(option.alternative.pattern, value):
        return value
    if kind in (int, float):
        return _number(option, kind, value)
    text = check_text(value, "a word")
    if plain(text) != text:
        raise NotAllowed("free of control characters and invisible signs")
    return option.check(text) if option.check else text


def check_text(value: Any, expected: str) -> str:
    """
    Raises:
        NotAllowed: it is not a string, or an empty one.
    """
    if not isinstance(value, str) or not value.strip():
        raise NotAllowed(expected)
    return value


def _number(option: Option, kind: type, value: Any) -> int | float:
    low, high = option.minimum, option.maximum
    try:
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
        if not math.isfinite(number) or (isinstance(value, float) and number != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise NotAllowed(_numeric_values(option, kind)) from None
    too_low = low is not None and (number <= low if option.above else number < low)
    if too_low or (high is not None and number > high):
        raise NotAllowed(_numeric_values(option, kind))
    return int(number) if kind is int else float(number)


def number_range(option: Option, kind: type) -> str:
    """`a whole number of at least 1 and at most 4096`."""
    return ("a whole number" if kind is int else "a number") + _bounds(option)


def _bounds(option: Option) -> str:
    low, high = option.minimum, option.maximum
    bounds = "" if low is None else f" above {low:g}" if option.above else f" of at least {low:g}"
    return bounds + ("" if high is None else f" and at most {high:g}")


def _numeric_values(option: Option, kind: type) -> str:
    return number_range(option, kind) + (f", or {option.alternative.form}" if option.alternative else "")


def allowed_values(option: Option, kind: type) -> str:
    """Which values an option takes, in words: its choices, or the range of its number; empty for a free text."""
    if option.choices:
        return "one of " + ", ".join(option.choices)
    if kind is tuple:
        return WIDTHS
    words = [_numeric_values(option, kind)] if kind in (int, float) else []
    return ", or ".join([*words, *([option.unset] if option.unset else [])])


def as_text(value: Any) -> str:
    """A value as a user types it: `512,256`, `0.002`."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def wrong_value(name: str, value: Any, expected: str) -> UsageError:
    """The error that says which option got which value, and what that must be."""
    try:
        text = "" if value is None else as_text(value)
        shown = repr(text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…")
    except ValueError:  # Python does not write so large a number
        shown = f"a number of more than {sys.get_int_max_str_digits():,} digits"
    return UsageError(f"{name} must be {expected}, not {shown}")
