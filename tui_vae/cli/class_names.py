"""The class that a user names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from tui_vae.errors import UsageError

MOST_NAMES = 30
"""Names of classes in a message."""


def class_number(classes: Sequence[str], labelled: bool, name: str) -> int:
    """The number of the class called `name`, in whatever case. `labelled`: whether the run's images have classes.

    Raises:
        UsageError: there is no such class, or no image has one.
    """
    if not labelled:
        raise UsageError("the run's images have no labels, so that none is of a class", "leave out --class")
    names = [each.casefold() for each in classes]
    if name.casefold() not in names:
        raise UsageError(f"there is no class {name!r}", f"classes are {some(classes)}")
    return names.index(name.casefold())


def some(names: Sequence[str]) -> str:
    """The names with commas between them, of many the first."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
