"""The table of faults: what was done, how often, and what was lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    fault: str
    command: str
    times: int | str
    outcome: str
    lost: str


def print_rows(rows: Iterable[Row]) -> None:
    """As Markdown."""
    print("| fault | shown by | times | what happened | lost |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
