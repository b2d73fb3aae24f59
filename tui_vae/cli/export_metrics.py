"""The figures of every epoch as a file: CSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import read_history
from tui_vae.runs.metrics_table import Row, metrics_rows


def metrics_file(directories: Sequence[RunDirectory], ending: str) -> bytes:
    """`metrics_rows` of runs, one after the other, with the run's name in front, in the format of this ending.

    Raises:
        UserError: as `as_parquet`. RunError: a run has done no epoch yet.
    """
    rows = [{"run": each.name, **row} for each in directories for row in rows_of(each)]
    return FORMATS[ending](rows)


def as_csv(rows: Sequence[Row]) -> bytes:
    """Rows as CSV; what is None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_jsonl(rows: Sequence[Row]) -> bytes:
    """Rows as JSON, an object a line; what is None is null."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_parquet(rows: Sequence[Row]) -> bytes:
    """Rows as Parquet: a name is a string, counts are int64, all else float64; what is None is null.

    Raises:
        UserError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise UserError(
            "a Parquet file cannot be written without pyarrow", "install it: pip install pyarrow, or take CSV"
        )
    import pyarrow
    from pyarrow import parquet

    types = {str: pyarrow.string(), int: pyarrow.int64()}

    def type_of(name: str) -> pyarrow.DataType:
        kinds = {type(row[name]) for row in rows}
        return types.get(kinds.pop(), pyarrow.float64()) if len(kinds) == 1 else pyarrow.float64()

    schema = pyarrow.schema([(name, type_of(name)) for name in rows[0]])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Sequence[Row]], bytes]] = {"csv": as_csv, "parquet": as_parquet, "jsonl": as_jsonl}
"""What makes a file of rows, for each ending."""


def rows_of(directory: RunDirectory) -> list[Row]:
    """`metrics_rows` of a run.

    Raises:
        RunError: no epoch is done yet.
    """
    rows = metrics_rows(read_history(directory.events))
    if not rows:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    return rows
