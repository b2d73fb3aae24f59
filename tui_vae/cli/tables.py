"""Tables on a terminal, and the numbers in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

GAP = "  "
"""Between two columns."""

LARGEST = 1e6
"""Larger absolute values are printed in scientific notation with three digits, so that columns stay narrow."""


def padded(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[list[str]]:
    """The cells of rows, each as wide as its column; columns in `left` are flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def table_lines(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    """Rows as lines of text, in columns as `padded` makes them."""
    return [GAP.join(row).rstrip() for row in padded(rows, left)]


def print_table(rows: Sequence[Sequence[str]], left: Collection[int] = ()) -> None:
    """Print rows in columns. `left`: the numbers of columns that are flush left; the others are flush right."""
    for line in table_lines(rows, left):
        print(line)


def number(value: float | None, form: str) -> str:
    """A number in a table; a large one is shortened, an unknown one is a dash."""
    if value is None:
        return "-"
    return format(value, form) if abs(value) < LARGEST else f"{value:.3g}"
