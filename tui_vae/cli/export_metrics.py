"""The figures of every epoch as a file: CSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from importlib.util import find_spec

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import read_history
from tui_vae.runs.metrics_table import Row, metrics_rows


def metrics_csv(directory: RunDirectory, which: str | None = None) -> bytes:
    """`metrics_rows` as CSV; what is None there is empty.

    Raises:
        RunError: no epoch is done yet.
    """
    rows = _rows(directory)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def metrics_jsonl(directory: RunDirectory, which: str | None = None) -> bytes:
    """`metrics_rows`, a JSON object a line; what is None there is null.

    Raises:
        RunError: no epoch is done yet.
    """
    return "".join(f"{json.dumps(row)}\n" for row in _rows(directory)).encode()


def metrics_parquet(directory: RunDirectory, which: str | None = None) -> bytes:
    """`metrics_rows` as Parquet: counts are int64, all else float64; what is None there is null.

    Raises:
        UserError: pyarrow is not installed. RunError: no epoch is done yet.
    """
    if find_spec("pyarrow") is None:
        raise UserError(
            "a Parquet file cannot be written without pyarrow", "install it: pip install pyarrow, or take CSV"
        )
    import pyarrow
    from pyarrow import parquet

    rows = _rows(directory)
    whole = {name for name in rows[0] if all(isinstance(row[name], int) for row in rows)}
    schema = pyarrow.schema([(name, pyarrow.int64() if name in whole else pyarrow.float64()) for name in rows[0]])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), buffer)
    return buffer.getvalue()


def _rows(directory: RunDirectory) -> list[Row]:
    rows = metrics_rows(read_history(directory.events))
    if not rows:
        raise RunError(f"run {directory.name!r} has not finished an epoch yet")
    return rows
