"""CSV files of a label and pixels a line, as Kaggle has MNIST: with a head line or without, the label first or last.

A table of fer2013's form is known as well: a column `pixels` with numbers between spaces.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.found import MOST_LABEL, Found, Integers, Part, SomeRows, part_of, sides, words_of
from tui_vae.core.data.reading import is_json, unpacked
from tui_vae.core.data.shaping import dark_notes

LONGEST_LINE = 4 << 20
"""Bytes of a line that is read: 256 × 256 × 3 numbers of 17 characters each have fewer."""

MOST_LINES = 20_000_000
"""Lines that are counted: a small packed file may have any number."""

FEWEST_COLUMNS = 20
"""Separators in the first 512 bytes from which a table may be one of images; others list names and labels, for
instance."""

NUMBERS = 1 << 20
"""Numbers that are parsed at once, about."""

LABELS = {"label", "labels", "class", "target", "y", "digit", "character", "emotion"}
"""Names in use for the column of labels."""

NO_PIXELS = {"id", "index", "usage", "unnamed: 0", ""}
"""Names of columns that are neither pixels nor labels."""

NUMBER = re.compile(rb"\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are made. fields: how many there are; columns: first and end of the pixels; label: the
    column of labels; packed: the column that holds all pixels, with spaces between them; has_head: whether the first
    line names columns; separator: the character between fields; is_unsure: whether the label may be the last column;
    usage: the column that says which part a line is of."""

    fields: int
    columns: tuple[int, int]
    label: int | None
    packed: int | None
    has_head: bool
    separator: bytes
    is_unsure: bool = False
    usage: int | None = None

    @property
    def first_line(self) -> int:
        return 2 if self.has_head else 1

    @property
    def numbers(self) -> int:
        """Numbers of a line that are parsed."""
        return self.fields if self.packed is None else self.columns[1]


@dataclass
class Lines:
    """A stream of the images in a file, a line each."""

    path: Path
    layout: Layout
    shape: tuple[int, ...]
    kind: str

    def batches(self, rows: Integers) -> Iterator[tuple[Integers, NDArray[Any]]]:
        """As `found.Stream`."""
        first, end = self.layout.columns
        for before, values in _blocks(self.path, self.layout):
            chosen = rows[np.searchsorted(rows, before) : np.searchsorted(rows, before + len(values))]
            if len(chosen):
                yield chosen, values[chosen - before, first:end].astype(self.kind).reshape(-1, *self.shape[1:])


def is_csv(head: bytes) -> bool:
    """Whether a file that begins so may be such a table: text, with several fields in its first line."""
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0]
    if not line.strip() or is_json(head) or any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    return b"pixels" in line or any(line.count(each) >= FEWEST_COLUMNS for each in (b",", b";", b"\t"))


def read_table(path: Path) -> Found:
    """The images of one file.

    Raises:
        DatasetError: it is no table of images, or a line is no whole one.
    """
    layout = _layout(path)
    notes: list[str] = []
    ends: list[NDArray[np.float64]] = []  # the first and the last column
    labels: list[NDArray[np.float64]] = []
    low, high, whole = np.inf, -np.inf, True
    first, end = (1, layout.fields - 1) if layout.is_unsure else layout.columns
    for _, values in _blocks(path, layout):
        low, high, whole = _joined((low, high, whole), values[:, first:end])
        ends.append(values[:, [0, -1]])
        if layout.label is not None:
            labels.append(values[:, layout.label if layout.packed is None else 0])
    if not ends:
        raise DatasetError(f"{path} has no line of pixels", "name a file with a label and pixels a line")
    if layout.is_unsure:
        both = np.concatenate(ends)
        is_last = bool((both[:, 0] == both[0, 0]).all() and (both[:, 1] != both[0, 1]).any())
        if is_last:
            notes.append("the last column is taken for the label, as the first one is the same in all lines")
            layout = replace(layout, label=layout.fields - 1, columns=(0, layout.fields - 1))
        labels = [both[:, 1 if is_last else 0]]
        low, high, whole = _joined((low, high, whole), both[:, 0 if is_last else 1])
    count = sum(map(len, ends))
    if not (low >= 0 and high <= 255 and (whole or high <= 1)):
        raise DatasetError(f"{path} has pixels from {low:g} to {high:g}: expected 0 to 255, or fractions from 0 to 1",
                           "scale them, and write the file again")  # fmt: skip
    shape = sides(layout.columns[1] - layout.columns[0])
    assert shape
    found = Found("csv", [path], {}, notes=notes)
    numbers = np.concatenate(labels) if labels else None
    if numbers is not None and not bool((numbers == np.rint(numbers)).all() and np.abs(numbers).max() < MOST_LABEL):
        found.notes.append("the labels are no whole numbers and are left out")
        numbers = None
    are_bytes = whole and high > 1
    found.notes += dark_notes(high) if are_bytes else []
    stream = Lines(path, layout, (count, *shape), "uint8" if are_bytes else "float32")
    of_lines = None if numbers is None else numbers.astype(np.int64)
    for part, rows in _parts(path, layout).items():
        found.parts[part] = Part(SomeRows(stream, rows), None if of_lines is None else of_lines[rows])
    if not found.parts:
        found.parts["train"] = Part(stream, of_lines)
    found.transposed = "emnist" in path.name.lower()
    return found


def _parts(path: Path, layout: Layout) -> dict[str, Integers]:
    """Part → the lines of it, as fer2013's column `Usage` says (Training, PublicTest, PrivateTest); empty if it does
    not say a part of every line."""
    column = layout.usage
    if column is None:
        return {}
    cells = [line.split(layout.separator)[column] for _, lines in _lines(path, layout) for line in lines]
    spoken = {cell: part_of(words_of(cell.decode(errors="replace"))) for cell in set(cells)}
    if not all(spoken.values()):
        return {}
    parts = np.array([spoken[cell] for cell in cells])
    return {part: np.flatnonzero(parts == part).astype(np.int64) for part in sorted({*spoken.values()})}


def _joined(before: tuple[float, float, bool], pixels: NDArray[np.float64]) -> tuple[float, float, bool]:
    """The lowest and the highest pixel, and whether all are whole numbers, of those before and of these."""
    low, high, whole = before
    is_whole = whole and bool((pixels == np.rint(pixels)).all())
    return min(low, float(pixels.min())), max(high, float(pixels.max())), is_whole


def read_tables(paths: list[Path]) -> Found:
    """The images of the files in a folder, in parts as they are named.

    Raises:
        DatasetError: as `read_table`, or two files speak of the same part.
    """
    if len(paths) == 1:
        return read_table(paths[0])
    named = {path: part_of(words_of(path.stem)) for path in paths}
    if len(paths) > 1 and "train" in named.values():  # a sample of what is to be handed in, for instance
        paths = [path for path in paths if named[path]]
    found: Found | None = None
    left_out: list[str] = []
    for path in sorted(paths):
        part = named[path] or "train"
        if found and part in found.parts:
            names = ", ".join(each.name for each in paths)
            raise DatasetError(f"{path.parent} has several tables: {names}", "name one of them")
        try:
            of_file = read_table(path)
        except DatasetError as error:
            if part == "train":
                raise
            left_out.append(f"{error.message}: the {part} images are left out")
            continue
        if found is None:
            found = Found("csv", [], {}, notes=left_out)
        found.files.append(path)
        found.parts[part] = of_file.parts["train"]
        found.notes += of_file.notes
        found.transposed |= of_file.transposed
    if found is None:
        raise DatasetError(f"{paths[0].parent} has no table of images", "name the file itself")
    shapes = {part.images.shape[1:] for part in found.parts.values()}
    if len(found.parts) > 1 and len({part.labels is None for part in found.parts.values()}) > 1 and len(shapes) == 1:
        without = [name for name, part in found.parts.items() if part.labels is None and name != "train"]
        found.notes += [f"the {name} images have no labels and are left out" for name in without]
        for name in without:
            del found.parts[name]
    return found


def _layout(path: Path) -> Layout:
    """How the lines of a file are made, from its first two.

    Raises:
        DatasetError: they are none of images.
    """
    with unpacked(path) as file:
        first, second = (_line(file, path) for _ in range(2))
    first = first.removeprefix(b"\xef\xbb\xbf")
    separator = max((b",", b";", b"\t"), key=first.count)
    names = [name.decode("utf-8", "replace").strip().strip("\"'").lower() for name in first.split(separator)]
    has_head = not _is_numbers(first, separator)
    fields = len(names)
    sample = second if has_head else first
    if has_head and "pixels" in names and sample:
        at = names.index("pixels")
        count = len(sample.split(separator)[at].split()) if sample.count(separator) == fields - 1 else 0
        label = next((at for at, name in enumerate(names) if name in LABELS), None)
        if sides(count):
            order = 0 if label is None else 1
            usage = names.index("usage") if "usage" in names else None
            return Layout(fields, (order, order + count), label, at, True, separator, usage=usage)
    if sample and not _is_numbers(sample, separator):
        raise DatasetError(f"{path} is a table, but not of numbers: {sample[:40].decode(errors='replace')!r}",
                           "expected a label and pixels a line, as in Kaggle's MNIST")  # fmt: skip
    label = next((at for at, name in enumerate(names) if has_head and name in LABELS), None)
    unused = [at for at, name in enumerate(names) if has_head and name in NO_PIXELS]
    if label is None and not unused and sides(fields) is None and sides(fields - 1):
        label = 0  # without a head line, as in many copies; in others it is the last
    apart = sorted([*unused, *([label] if label is not None else [])])
    start, end = 0, fields
    while start in apart:
        start += 1
    while end - 1 in apart:
        end -= 1
    if any(start < at < end for at in apart) or sides(end - start) is None or end - start < 64:
        raise DatasetError(
            f"{path} has {fields} columns: expected a label and the pixels of a square image, such as 1 + 784",
            "leave other columns out",
        )
    return Layout(fields, (start, end), label, None, has_head, separator, is_unsure=label == 0 and not has_head)


def _is_numbers(line: bytes, separator: bytes) -> bool:
    return all(NUMBER.fullmatch(field) for field in line.replace(b'"', b"").split(separator))


def _line(file: BinaryIO, path: Path) -> bytes:
    """The next line, without its end; empty at the end of the file.

    Raises:
        DatasetError: it is too long.
    """
    line = file.readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise DatasetError(f"{path} has a line of more than {LONGEST_LINE >> 20} MiB", "name a table of images")
    return line.rstrip(b"\r\n")


def _blocks(path: Path, layout: Layout) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The numbers of some lines at a time, `(lines, fields)`, and how many lines of data came before them.

    With `packed`, the fields are the label, if there is one, and the pixels.

    Raises:
        DatasetError: a line has another number of fields, or something that is no number.
    """
    done = 0
    for number, kept in _lines(path, layout):
        if kept:
            yield done, _numbers(kept, layout, path, layout.first_line + number)
        done += len(kept)
        if done > MOST_LINES:
            raise DatasetError(f"{path} has more than {MOST_LINES:,} lines", "name a smaller table")


def _lines(path: Path, layout: Layout) -> Iterator[tuple[int, list[bytes]]]:
    """Some lines of data at a time, without blank ones, and how many lines came before them."""
    with unpacked(path) as file:
        if layout.has_head:
            _line(file, path)
        number = 0
        at_once = max(1, NUMBERS // layout.numbers)
        while lines := list(islice(iter(lambda: file.readline(LONGEST_LINE + 1), b""), at_once)):
            yield number, [line.strip() for line in lines if line.strip()]
            number += len(lines)


def _numbers(lines: list[bytes], layout: Layout, path: Path, first: int) -> NDArray[np.float64]:
    if layout.packed is not None:
        lines = [_unfolded(line, layout) for line in lines]
    elif layout.separator != b",":
        lines = [line.replace(layout.separator, b",") for line in lines]
    for at, line in enumerate(lines):
        if line.count(b",") != layout.numbers - 1:
            raise _wrong_line(path, first + at, layout, line)
    text = b",".join(lines).replace(b'"', b"")
    if (short := _short_numbers(text)) is not None:
        return short.reshape(len(lines), layout.numbers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns where it stops at something that is no number
            numbers = np.fromstring(text.decode("ascii"), np.float64, sep=",").reshape(len(lines), layout.numbers)
        if not np.isfinite(numbers).all():  # `nan` and `inf` are numbers to numpy
            raise ValueError
        return numbers
    except (ValueError, DeprecationWarning):
        for at, line in enumerate(lines):
            if not _is_numbers(line, b","):
                raise _wrong_line(path, first + at, layout, line) from None
        raise DatasetError(f"{path} has a number that is too large for a pixel", "mend or leave out its line") from None


def _short_numbers(text: bytes) -> NDArray[np.float64] | None:
    """Whole numbers of one to three digits between commas, as most tables have them, five times as fast as numpy reads
    any numbers; None where there are others."""
    characters = np.frombuffer(b"00" + text + b",", np.uint8)
    ends = np.flatnonzero(characters == ord(","))
    lengths = np.diff(ends, prepend=1) - 1
    digits = characters - np.uint8(ord("0"))  # of other characters, 10 or more
    if lengths.min() < 1 or lengths.max() > 3 or np.count_nonzero(digits < 10) != len(digits) - len(ends):
        return None
    numbers = digits[ends - 1].astype(np.float64)
    numbers += 10 * np.where(lengths >= 2, digits[ends - 2], np.uint8(0)).astype(np.float64)
    numbers += 100 * np.where(lengths == 3, digits[ends - 3], np.uint8(0)).astype(np.float64)
    return numbers


def _unfolded(line: bytes, layout: Layout) -> bytes:
    """A line whose pixels stand in one cell as a line of the label, if there is one, and the pixels; one of another
    number of cells as it is."""
    cells = line.split(layout.separator)
    if layout.packed is None or len(cells) != layout.fields:
        return line
    label = [] if layout.label is None else [cells[layout.label]]
    return b",".join([*label, *cells[layout.packed].strip(b'" ').split()])


def _wrong_line(path: Path, number: int, layout: Layout, line: bytes) -> DatasetError:
    found = line.count(b",") + 1
    what = f"{found} fields, not {layout.numbers}" if found != layout.numbers else "something that is no number"
    return DatasetError(f"{path}: line {number} has {what}", "mend or leave out that line, or fetch the file again")
