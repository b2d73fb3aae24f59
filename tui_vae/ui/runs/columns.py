"""The columns of the table of runs: their texts, their order, and the choice of those that fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from tui_vae.config import MAX_NAME, option_name, options, text_of
from tui_vae.runs.comparison import why_incomparable
from tui_vae.runs.run_records import Record
from tui_vae.runs.steering import wordings
from tui_vae.ui import numbers
from tui_vae.ui.fitting import first_that_fits

SortKey = float | str | None
GAP = 2
"""Blank cells after a left-aligned column."""

LEAST_NAME, FAIR_NAME, MOST_NAME = 16, 22, MAX_NAME
"""Cells for names: at least; before less important columns are added; at most."""

EPOCHS_WIDTH, HEALTH_WIDTH, STEERED_WIDTH = 9, 16, 32
"""Cells of columns whose texts are worded to fit."""

LEAST_TREND, MOST_TREND = 10, 24
"""Cells of the curve of test losses."""


@dataclass(frozen=True)
class Column:
    """`rank`: where there is no room for all columns, those of the highest rank are left out first.

    `down`: the greatest value first, unless the order is reversed. `lead`: blank cells before the column, where it
    would touch a number.
    """

    name: str
    title: str
    width: int
    rank: int
    text: Callable[[Record], str]
    key: Callable[[Record], SortKey] | None = None
    down: bool = False
    left: bool = False
    lead: int = 0
    role: str = "row"


def _best(name: str) -> Callable[[Record], float | None]:
    return lambda record: getattr(record.best, name) if record.best else None


def _fixed(name: str, decimals: int) -> Callable[[Record], str]:
    """A figure with this many decimals in every row, so that the column lines up; one too large is shortened."""
    value_of = _best(name)

    def text(record: Record) -> str:
        value = value_of(record)
        fits = value is not None and abs(value) < 1000
        return f"{value:.{decimals}f}".replace("-", numbers.MINUS) if fits else numbers.metric(value, 0)

    return text


def _active(record: Record) -> str:
    return str(record.best.active_units) if record.best else numbers.UNKNOWN


def _epochs(record: Record) -> str:
    if not record.planned:
        return numbers.UNKNOWN
    short = "/".join(numbers.short(each, 0) for each in (record.epochs, record.planned))
    return first_that_fits((f"{record.epochs}/{record.planned}", short), EPOCHS_WIDTH)


def _steered(record: Record) -> str:
    return first_that_fits(wordings([*map(str, record.steered)]), STEERED_WIDTH)


def _health(record: Record) -> str:
    others = f"{record.health[0]}, +{len(record.health) - 1}" if record.health else ""
    return first_that_fits((", ".join(record.health), others), HEALTH_WIDTH)


COLUMNS = (
    Column("name", "run", LEAST_NAME, 0, lambda r: r.name, lambda r: r.name.lower(), left=True),
    Column("state", "state", 11, 1, lambda r: r.state, lambda r: r.state, left=True),
    Column("epochs", "epochs", EPOCHS_WIDTH, 2, _epochs, lambda r: float(r.epochs), down=True),
    Column("loss", "best loss", 10, 3, _fixed("loss", 1), _best("loss")),
    Column("mse", "mse", 8, 4, _fixed("mse", 4), _best("mse")),
    Column("bits", "bits/px", 8, 6, _fixed("elbo_bpd", 3), _best("elbo_bpd")),
    Column("kl", "KL", 7, 7, _fixed("kl", 2), _best("kl")),
    Column("active", "active", 7, 9, _active, _best("active_units"), down=True),
    Column("trend", "test loss", LEAST_TREND, 8, lambda r: "", left=True, lead=GAP, role="trend"),
    Column("dataset", "dataset", 13, 13, lambda r: r.dataset, lambda r: r.dataset or None, left=True, role="note"),
    Column("device", "device", 7, 11, lambda r: r.device, lambda r: r.device or None, left=True, role="note"),
    Column("started", "started", 12, 12, lambda r: moment(None if r.state == "queued" else r.started),
           lambda r: r.started, down=True, role="note"),
    Column("duration", "trained", 9, 10, lambda r: numbers.duration(r.seconds, 0), lambda r: r.seconds, down=True,
           role="note"),
    Column("age", "changed", 8, 5, lambda r: numbers.age(time.time() - r.changed), lambda r: r.changed, down=True,
           role="note"),
    Column("health", "health", HEALTH_WIDTH, 14, _health, lambda r: ", ".join(r.health) or None, left=True,
           lead=GAP, role="warning"),
    Column("steered", "steered", STEERED_WIDTH, 16, _steered, lambda r: len(r.steered) or None,
           left=True, lead=GAP, role="note"),
    Column("note", "note", 20, 15, lambda r: r.note, lambda r: r.note.lower() or None, left=True, lead=GAP,
           role="note"),
)  # fmt: skip
MOST_FIGURE = 7
"""Columns up to this rank are kept even if names are cut."""

NAMED = {column.name: column for column in COLUMNS}
COMPARABLE = ("mse", "bits")
"""Metrics whose lowest value is the best of all runs of one test set, whatever they minimize."""


def moment(t: float | None) -> str:
    """Date and time, to the minute."""
    return numbers.UNKNOWN if t is None else time.strftime("%d %b %H:%M", time.localtime(t))


DECIMALS = {"loss": 1, "mse": 4, "bits": 3, "kl": 2, "active": 0}
"""The columns of figures, each with the decimals that a mean and its spread have."""

SPREADS = {"loss": 6, "mse": 7, "bits": 6, "kl": 6, "active": 2}
"""Cells by which a column of figures is wider where rows have a mean and a spread, such as ±0.012."""

COLUMNS_WITH_SPREAD = tuple(replace(each, width=each.width + SPREADS.get(each.name, 0)) for each in COLUMNS)


def columns_for(width: int, longest_name: int, spreads: bool = False) -> list[tuple[Column, int]]:
    """The most important columns that fit, in their order, with their widths. Names and trends take the room left.

    Names are shortened before a figure is left out, but after other columns are. `spreads`: whether rows have some.
    """
    kept: list[Column] = []
    columns = COLUMNS_WITH_SPREAD if spreads else COLUMNS
    for column in sorted(columns, key=lambda column: column.rank):
        for_name = 0 if column.rank <= MOST_FIGURE else max(0, min(longest_name, FAIR_NAME) - LEAST_NAME)
        if _width([*kept, column]) + for_name > width:
            break
        kept.append(column)
    shown = [column for column in columns if column in kept]
    room = max(0, width - _width(shown))
    extra = {}
    names = {column.name for column in shown}
    for name, most in (("name", min(longest_name, MOST_NAME)), ("trend", MOST_TREND), ("note", room)):
        if name in names:
            extra[name] = max(0, min(room, most - NAMED[name].width))
            room -= extra[name]
    return [(column, column.width + extra.get(column.name, 0)) for column in shown]


def _width(columns: Sequence[Column]) -> int:
    return sum(column.lead + column.width + GAP * column.left for column in columns)


class Named(Protocol):
    """What a row is of: a run, or a group of runs."""

    @property
    def name(self) -> str: ...


RowType = TypeVar("RowType", bound=Named)


def sort_rows(
    rows: Iterable[RowType], column: Column, reverse: bool, key: Callable[[RowType, Column], SortKey]
) -> list[RowType]:
    """The rows in the order of a column; rows without a value in it stand at the end in both directions."""
    by_name = sorted(rows, key=lambda row: row.name)
    values = [(key(row, column), row) for row in by_name]
    known: list[tuple[Any, RowType]] = [(value, row) for value, row in values if value is not None]
    known.sort(key=lambda each: each[0], reverse=column.down != reverse)
    return [row for _, row in known] + [row for value, row in values if value is None]


def sort(records: Iterable[Record], column: Column, reverse: bool) -> list[Record]:
    """The runs in the order of a column."""
    return sort_rows(records, column, reverse, lambda record, column: column.key(record) if column.key else None)


def best_of(records: Sequence[Record], column: Column) -> SortKey:
    """The lowest value of several runs in one of the `COMPARABLE` columns.

    None where fewer than two runs have one, or where the runs that have one were evaluated on different test sets.
    """
    assert column.key is not None
    found = [(record, value) for record in records if isinstance(value := column.key(record), float)]
    if len(found) < 2 or why_incomparable([record for record, _ in found], is_loss=False):
        return None
    return min(value for _, value in found)


def next_column(current: Column, by: int, shown: Sequence[Column]) -> Column:
    """The column to sort by after a key has been pressed, among those on screen."""
    choices = [NAMED[column.name] for column in shown if column.key is not None]
    if current not in choices:
        return choices[0 if by > 0 else -1]
    return choices[(choices.index(current) + by) % len(choices)]


def matches(record: Record, text: str) -> bool:
    """Whether a run has all typed words in its name, state, dataset, device or note; `latent-dim=8`: in its config."""
    plain = " ".join(
        (
            record.name,
            record.state,
            *record.health,
            record.dataset,
            record.device,
            record.note,
            *record.tags,
            f"@{record.group}",
        )
    ).lower()
    for word in text.lower().split():
        name, given, value = word.partition("=")
        if given and record.config is not None:
            values = {option_name(each): text_of(each, getattr(record.config, each)) for each in options()}
            if not any(key.startswith(name) and values[key].startswith(value) for key in values):
                return False
        elif word not in plain:
            return False
    return True
