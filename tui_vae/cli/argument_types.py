"""What the text of an argument may be: functions for argparse, which all raise `argparse.ArgumentTypeError`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

from tui_vae import config
from tui_vae.errors import UsageError

MOST_IMAGES = 1000
"""The most that one option may count, or name, of what is shown or repeated."""

MOST_DRAWS = 1_000_000
"""The most draws of z, of each image or in all: more would take days."""

MOST_DIGITS = 9
"""Digits of a whole number in an argument, at most: far more than any that makes sense, and quick to read."""

SHOWN = 40
"""Characters of a wrong argument that an error repeats."""


def checked(name: str) -> Callable[[str], Any]:
    """A parser of the value of an option of a run."""

    def check(text: str) -> Any:
        try:
            return config.check_option(name, text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(error.message) from None

    return check


def several_checked(name: str) -> Callable[[str], tuple[Any, ...]]:
    """A parser of one value if the whole text is one, else of the values between its commas."""
    check = checked(name)

    def check_all(text: str) -> tuple[Any, ...]:
        try:
            return (check(text),)
        except argparse.ArgumentTypeError:
            return tuple(check(part) for part in text.split(","))

    return check_all


def counted(most: int, least: int = 1) -> Callable[[str], int]:
    """A parser of a whole number from `least` to `most`."""

    def to_count(text: str) -> int:
        if not (text.isdecimal() and len(text) <= MOST_DIGITS and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"it must be a whole number from {least} to {most}, not {text[:SHOWN]!r}")
        return int(text)

    return to_count


def factor(text: str) -> float:
    """What a learning rate may be multiplied by."""
    from tui_vae.runs.protocol import MAX_FACTOR

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 / MAX_FACTOR <= value <= MAX_FACTOR:
        limits = f"from {1 / MAX_FACTOR:g} to {MAX_FACTOR:g}, such as 0.1"
        raise argparse.ArgumentTypeError(f"it must be a number {limits}, not {text[:SHOWN]!r}")
    return value


count = counted(MOST_IMAGES)


def target(text: str) -> Any:
    """A figure to be reached, as `bench_target` knows it."""
    from tui_vae.cli.bench_target import parse_target

    try:
        return parse_target(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"it must be like bits=6.74 or mse=0.0085, not {text[:SHOWN]!r}") from None


def jobs(text: str) -> int | None:
    """How many runs at once; None for `auto`."""
    return None if text == "auto" else count(text)


def cluster(text: str) -> tuple[str, str]:
    """A kind of cluster, and the address of one that is given."""
    kind, separator, address = text.partition("=")
    if kind not in ("ray", "slurm") or (separator and (kind != "ray" or not address)):
        raise argparse.ArgumentTypeError(f"it must be ray, ray=ADDRESS or slurm, not {text[:SHOWN]!r}")
    return kind, address


def share(text: str) -> float:
    """How many CPUs or GPUs a run gets; parts of one are possible."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= MOST_IMAGES:
        raise argparse.ArgumentTypeError(f"it must be a number from 0 to {MOST_IMAGES}, not {text[:SHOWN]!r}")
    return number


def setting(text: str) -> tuple[str, str | bool]:
    """KEY=VALUE, or KEY alone, as on a command line without the dashes."""
    key, separator, value = text.removeprefix("--").partition("=")
    if not (re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", key) and value.isprintable() and (value or not separator)):
        raise argparse.ArgumentTypeError(f"it must be like partition=gpu or exclusive, not {text[:SHOWN]!r}")
    return key.replace("_", "-"), value if separator else True


def place(text: str) -> str:
    """Where something is to be written; no text at all would be the working directory. As it was given: a slash at its
    end says that it is a folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty, name a file")
    return text


def checkpoint_name(text: str) -> str:
    """`best`, `last`, or the number of an epoch."""
    is_number = text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS
    if text in ("best", "last") or (is_number and int(text) > 0):
        return text
    raise argparse.ArgumentTypeError(f"it must be best, last, or the number of a kept epoch, not {text[:SHOWN]!r}")


def indices(text: str) -> tuple[int, ...]:
    """Numbers of images, with commas between them."""
    parts = text.split(",")
    if len(parts) > MOST_IMAGES or not all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts):
        wanted = f"up to {MOST_IMAGES} image numbers like 3,17"
        raise argparse.ArgumentTypeError(f"it must be {wanted}, not {text[:SHOWN]!r}")
    return tuple(map(int, parts))
