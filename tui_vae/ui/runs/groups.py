"""Groups of runs, a sweep or seeds of one recipe: each is a row, which unfolds into its runs.

Of runs of one recipe it has mean and spread. Of others, as of a sweep, these would be the figures of nothing: it has
the lowest and the highest.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tui_vae.config import RunConfig
from tui_vae.runs.run_records import Record
from tui_vae.runs.tags import differing, group_of_seeds
from tui_vae.ui import numbers
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.runs.columns import DECIMALS, Column, SortKey, matches, sort_rows


@dataclass(frozen=True)
class Group:
    """Several runs in one row; `folded`: their own rows are not shown."""

    name: str
    members: tuple[Record, ...]
    folded: bool

    @property
    def path(self) -> Path:
        """What tells its row from others; no run has this name."""
        return self.members[0].path.parent / f"@{self.name}"  # a name may have slashes, which `with_name` refuses

    @property
    def config(self) -> RunConfig | None:
        """That of its first run."""
        return self.members[0].config

    @cached_property
    def configs(self) -> list[RunConfig]:
        """Those of its runs that can be read."""
        return [each.config for each in self.members if each.config is not None]

    @cached_property
    def varied(self) -> list[str]:
        """The options that make its runs different ones, and not the same with other seeds."""
        return differing(self.configs)

    @property
    def test_images(self) -> int | None:
        return self.members[0].test_images

    @property
    def state(self) -> str:
        """The state that all of its runs have, else that of the liveliest."""
        return next((each.state for each in self.members if each.alive), self.members[0].state)

    @property
    def counted(self) -> list[Record]:
        """The runs whose figures count: those of a run that was stopped on its way are of another training."""
        return [each for each in self.members if each.state == "finished"]

    @property
    def note(self) -> str:
        """What its figures are."""
        differ = f"; they differ in {', '.join(self.varied)}" if self.varied else ""
        figures = "lowest … highest" if self.varied else "mean ± standard deviation"
        return f"{len(self.members)} runs; {figures} of the {len(self.counted)} that have finished{differ}"

    def values(self, column: Column) -> list[float]:
        """The values of a column of figures, of the runs that count."""
        found = (column.key(each) for each in self.counted if column.key is not None)
        return [value for value in found if isinstance(value, (int, float))]

    def key(self, column: Column) -> SortKey:
        """What the group is sorted by in a column: the mean or the best of its figures; else the first of its words."""
        if column.name in DECIMALS:
            values = self.values(column)
            best = max if column.down else min
            return (best(values) if self.varied else statistics.fmean(values)) if values else None
        if column.name == "name":
            return self.name.lower()
        keys = [key for each in self.members if column.key is not None and (key := column.key(each)) is not None]
        words = [key for key in keys if isinstance(key, str)]
        figures = [key for key in keys if not isinstance(key, str)]
        return (max if column.down else min)(figures) if figures else min(words, default=None)

    def text(self, column: Column) -> str:
        """What stands in a column: `6.741±0.012` or `6.714…7.503`, of a figure; the common word; else nothing."""
        if column.name == "name":
            sign = ("▸" if self.folded else "▾") if glyphs().braille else ("+" if self.folded else "-")
            return f"{sign} {self.name} ×{len(self.members)}"
        if column.name == "state":
            return f"{glyphs().states.get(self.state, ' ')} {self._states()}"
        if column.name in DECIMALS:
            return self._figures(column)
        if column.name in ("age", "started"):
            newest = (min if column.name == "started" else max)(self.members, key=lambda each: each.changed)
            return column.text(newest)
        if column.name == "duration":
            return numbers.duration(sum(each.seconds or 0.0 for each in self.members), 0)
        texts = {column.text(each) for each in self.members}
        return texts.pop() if len(texts) == 1 else ""

    def _states(self) -> str:
        states = [each.state for each in self.members]
        alive = sum(each.alive for each in self.members)
        done = states.count("finished")
        return states[0] if len(set(states)) == 1 else f"{alive} train" if alive else f"{done}/{len(states)} done"

    def _figures(self, column: Column) -> str:
        values = self.values(column)
        if not values:
            return numbers.UNKNOWN
        decimals = DECIMALS[column.name]
        shown = [min(values), max(values)] if self.varied else [statistics.fmean(values)]
        texts = (f"{value:.{decimals}f}".replace("-", numbers.MINUS) for value in shown)
        spread = "" if self.varied or len(values) < 2 else f"±{statistics.stdev(values):.{decimals}f}"
        return "…".join(dict.fromkeys(texts)) + spread

    def curve(self, measure: str) -> list[tuple[float, float, float]]:
        """Epoch, mean and sample standard deviation of a figure, over the runs that have reached the epoch.

        Of different runs (`varied`) the middle between the lowest and the highest value, and how far that is from both.
        Epochs that only one run has reached are left out: they have no spread.
        """
        found: dict[int, list[float]] = {}
        for each in self.members:
            for figures in each.curve:
                value = getattr(figures, measure)
                if value is not None and math.isfinite(value):
                    found.setdefault(figures.epoch, []).append(value)
        several = [(float(epoch), values) for epoch, values in sorted(found.items()) if len(values) > 1]
        if self.varied:
            edges = [(epoch, min(values), max(values)) for epoch, values in several]
            return [(epoch, (low + high) / 2, (high - low) / 2) for epoch, low, high in edges]
        return [(epoch, statistics.fmean(values), statistics.stdev(values)) for epoch, values in several]

    @property
    def losses(self) -> list[float | None]:
        """The test losses of `curve`, for the small one."""
        return [mean for _, mean, _ in self.curve("loss")]


Row = Record | Group


def rows_of(
    records: Sequence[Record], words: str, column: Column, reverse: bool, unfolded: Collection[str]
) -> list[Row]:
    """The rows of the table: runs that match the typed words, those of a group in its row or below it."""
    shown = [record for record in records if matches(record, words)]
    groups = _groups(shown, unfolded)
    inside = {record.path for group in groups for record in group.members}
    rows: list[Row] = []
    outside: list[Row] = [*(each for each in shown if each.path not in inside), *groups]
    for row in sort_rows(outside, column, reverse, _key):
        rows.append(row)
        if isinstance(row, Group) and not row.folded:
            rows += sort_rows(row.members, column, reverse, _key)
    return rows


def _key(row: Row, column: Column) -> SortKey:
    if isinstance(row, Group):
        return row.key(column)
    return column.key(row) if column.key else None


def _groups(records: Sequence[Record], unfolded: Collection[str]) -> list[Group]:
    """The groups that have two runs at least. A group that was named goes before one of seeds."""
    configs = {each.name: each.config for each in records if each.config is not None and not each.group}
    of_seeds = group_of_seeds(configs)
    found: dict[str, list[Record]] = {}
    for record in records:
        if name := record.group or of_seeds.get(record.name, ""):
            found.setdefault(name, []).append(record)
    return [Group(name, tuple(each), name not in unfolded) for name, each in found.items() if len(each) > 1]
