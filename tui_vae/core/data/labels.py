"""Labels of any whole numbers, as indices of classes with names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import Found, Integers
from tui_vae.core.data.reading import PART, unpacked
from tui_vae.plain_text import plain

MOST_CLASSES = 1000
"""Classes that can be told apart; with more, labels are left out."""

LONGEST_NAME = 64
"""Characters of a class's name that are kept."""

NAMES_FILE = "classes.txt"
"""A file beside the data, or in their folder, with a name for each class, one a line, the first for label 0."""


@dataclass
class Classes:
    """The classes of a data set. names: empty where there are no labels in use. values: the label of each class."""

    names: tuple[str, ...]
    values: NDArray[np.int64]
    notes: list[str] = field(default_factory=list)

    def numbered(self, labels: Integers) -> NDArray[np.uint8 | np.uint16]:
        """Labels as indices of `names`."""
        indices = np.searchsorted(self.values, labels)
        return indices.astype(np.uint8 if len(self.names) <= 256 else np.uint16)


def classes_of(labels: Sequence[Integers | None], found: Found, names: tuple[str, ...]) -> Classes:
    """The classes of these labels: of the training and the test images.

    Their names are those that are given, by number; or those that the source gives; or "class 7" of label 7.
    """
    nothing = np.zeros(0, np.int64)
    there = [each for each in labels if each is not None]
    if not there:
        return Classes((), nothing)
    if len(there) < len(labels):
        return Classes((), nothing, ["only some parts have labels, which are left out"])
    values = np.unique(np.concatenate([np.unique(each) for each in there]))
    if len(values) > MOST_CLASSES:
        note = f"{len(values):,} different labels are more than {MOST_CLASSES:,} classes, and are left out"
        return Classes((), nothing, [note])
    notes: list[str] = []
    given = _named(found, names, notes) if found.names_are_labels else names or found.classes
    if given and values[0] >= 0 and values[-1] < len(given) <= MOST_CLASSES:
        return Classes(tuple(map(_clean, given)), np.arange(len(given), dtype=np.int64), notes)
    if given:
        notes.append(f"there are names for {len(given)} classes, and labels from {values[0]} to {values[-1]}")
    named = [_clean(given[value]) if 0 <= value < len(given) else f"class {value}" for value in values.tolist()]
    return Classes(tuple(named), values.astype(np.int64), notes)


def _named(found: Found, names: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    """The names of classes that the source knows by folders or words: these, or where they are numbers, those given."""
    words = found.classes
    if names and all(word.isdecimal() and int(word) < len(names) for word in words):
        return tuple(names[int(word)] for word in words)
    if names and {*names} != {*words}:
        notes.append(f"{NAMES_FILE} names other classes than the data have, and is left out")
    return words


def _clean(name: str) -> str:
    return plain(name).strip()[:LONGEST_NAME] or "(no name)"


def names_beside(path: Path) -> tuple[str, ...]:
    """The names in the file `classes.txt` in a folder, or beside a file; none where there is no such file.

    Raises:
        DatasetError: it cannot be read, or is no text.
    """
    folder = path if os.path.isdir(path) else path.parent
    file = folder / NAMES_FILE
    if not os.path.isfile(file):
        return ()
    with unpacked(file) as opened:
        contents = opened.read(PART)
    try:
        lines = contents.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise DatasetError(f"{file} is no text in UTF-8", "write a name of a class into each line") from None
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    return tuple(names)
