"""Rows as a table of the library that the user has: pandas, polars or numpy."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tui_vae.errors import UserError

KINDS = ("pandas", "polars", "numpy")
"""Libraries whose tables can be had, in the order in which they are chosen."""

WHOLE_NUMBERS = ("epoch", "step", "train_active_units", "test_active_units")
"""Columns of counts; all others are float64."""


def table(rows: Sequence[dict[str, Any]], kind: str | None) -> Any:
    """The rows as a pandas or polars DataFrame, or as a structured array of numpy; None in a row becomes NaN.

    `kind`: a key of `KINDS`; None takes the first that is installed.

    Raises:
        UserError: there is no such kind, or it is not installed.
    """
    if kind is None:
        kind = next(name for name in KINDS if find_spec(name))
    if kind not in KINDS:
        raise UserError(f"there are no tables of {kind!r}", f"choose one of {', '.join(KINDS)}")
    if not find_spec(kind):
        raise UserError(f"{kind} is not installed", f"pip install {kind}, or leave the kind out")
    array = _array(rows)
    if kind == "numpy":
        return array
    columns = {name: array[name] for name in array.dtype.names or ()}
    return import_module(kind).DataFrame(columns)


def _array(rows: Sequence[dict[str, Any]]) -> Any:
    import numpy as np

    types = [(name, np.int64 if name in WHOLE_NUMBERS else np.float64) for name in rows[0]]
    array = np.empty(len(rows), types)
    for name, _ in types:
        array[name] = [np.nan if row[name] is None else row[name] for row in rows]
    return array
