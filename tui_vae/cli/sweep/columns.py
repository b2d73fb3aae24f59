"""The columns of a sweep's table: which run a line is, what it does, its figures; and which have room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.tables import GAP
from tui_vae.config import option_name
from tui_vae.ui.numbers import duration, metric, short

ACCENT, GOOD, BAD, QUIET, TRACK = "#d7875f", "#5faf5f", "#d75f5f", "#8a8a8a", "#585858"
"""On the colour cube and the grey ramp of 256 colours, legible on dark and on light; text has the terminal's own."""

STATES = {
    "waiting": QUIET, "queued": QUIET, "starting": ACCENT, "loading": ACCENT, "training": ACCENT, "paused": ACCENT,
    "stopping": ACCENT,
    "finished": GOOD, "failed": BAD, "crashed": BAD, "stopped": BAD,
}  # fmt: skip
"""Each state of a run with its colour."""

STATE_WIDTH = max(map(len, STATES))

LEAST_BAR, LARGEST_BAR = 10, 40
"""Columns of the bar that says how much of a run is done."""

LEAST_HEAD = 5
"""Columns that are left of the head of a setting whose values are shorter, where there is little room."""


@dataclass(frozen=True)
class Signs:
    """What the table is drawn with, with Unicode or without."""

    done: str = "━"
    rest: str = "─"
    finished: str = "✓"
    failed: str = "✗"
    going: str = "▸"
    waiting: str = "·"
    more: str = "…"

    def mark(self, run: SweepRun) -> Text:
        """The sign of a run's state."""
        failed = dict.fromkeys(("failed", "crashed", "stopped"), self.failed)
        sign = {**failed, "finished": self.finished}.get(run.state, self.waiting if run.waits else self.going)
        return Text(sign, STATES.get(run.state, ""))

    def bar(self, share: float, width: int, colour: str = ACCENT) -> Text:
        filled = round(share * width)
        return Text.assemble((self.done * filled, colour), (self.rest * (width - filled), TRACK))


ASCII = Signs("=", "-", "+", "!", ">", ".", "..")


@dataclass(frozen=True)
class Column:
    """`rank`: the highest gives way first where there is little room; 0 never does."""

    head: str
    width: int
    rank: int
    cell: Callable[[SweepRun], Text]
    left: bool = False

    def heading(self) -> Text:
        head = self.head[: self.width]
        return Text(head.ljust(self.width) if self.left else head.rjust(self.width), QUIET)


def columns_for(runs: Sequence[SweepRun], name: str, varied: Sequence[str], signs: Signs, width: int) -> list[Column]:
    """The columns that fit beside each other. Settings stand for a run's name, or its name where they have no room.

    `name`: the sweep's, with which those of its runs begin; `varied`: its options with several values.
    """
    figures = _figures(runs, signs)
    for settings in (_settings(runs, varied, None), _settings(runs, varied, LEAST_HEAD)):
        found = _fitting([*settings, *figures], width)
        if found is not None:
            return _with_wide_bar(found, runs, signs, width)
    columns = _fitting([_name(runs, name, signs, width // 3), *figures], width)
    return columns or [_name(runs, name, signs, max(1, width - STATE_WIDTH - 2 * len(GAP) - 1)), figures[0]]


def _fitting(columns: Sequence[Column], width: int) -> list[Column] | None:
    found = list(columns)
    while total_width(found) > width:
        last = max(found, key=lambda column: column.rank)
        if not last.rank:
            return None
        found.remove(last)
    return found


def total_width(columns: Sequence[Column]) -> int:
    """With the sign of the state that stands before them."""
    return 1 + sum(len(GAP) + column.width for column in columns)


def _with_wide_bar(columns: Sequence[Column], runs: Sequence[SweepRun], signs: Signs, width: int) -> list[Column]:
    room = min(LARGEST_BAR - LEAST_BAR, width - total_width(columns))
    return [_bar(signs, LEAST_BAR + room) if not column.head else column for column in columns]


def _settings(runs: Sequence[SweepRun], varied: Sequence[str], least_head: int | None) -> list[Column]:
    """A column an option; `least_head`: so many signs of a head are enough."""

    def column(at: int, option: str) -> Column:
        head = option_name(option)
        size = max(len(head) if least_head is None else least_head, *(len(each[at]) for each in values))
        return Column(head, size, 0, lambda run: Text(run.settings([option])[0].rjust(size)))

    values = [run.settings(varied) for run in runs]
    return [column(at, option) for at, option in enumerate(varied)]


def _name(runs: Sequence[SweepRun], name: str, signs: Signs, most: int) -> Column:
    names = {run.number: run.name.removeprefix(f"{name}-") for run in runs}
    size = min(most, max(map(len, names.values())))

    def cell(run: SweepRun) -> Text:
        text = names[run.number]
        return Text(text.ljust(size) if len(text) <= size else signs.more + text[len(text) - size + len(signs.more) :])

    return Column("run", size, 0, cell, left=True)


def _bar(signs: Signs, size: int) -> Column:
    return Column("", size, 4, lambda run: signs.bar(run.share, size, STATES.get(run.state, ACCENT)))


def _figures(runs: Sequence[SweepRun], signs: Signs) -> list[Column]:
    digits = max(len(str(run.planned)) for run in runs)
    size = max(len("epoch"), 2 * digits + 1)

    def state(run: SweepRun) -> Text:
        return Text(run.state.ljust(STATE_WIDTH), STATES.get(run.state, ""))

    def epoch(run: SweepRun) -> Text:
        colour = QUIET if run.waits and not run.epoch else ""
        return Text(f"{run.epoch}/{run.planned:<{digits}}".rjust(size), colour)

    def figure(name: str, form: str) -> Callable[[SweepRun], Text]:
        def cell(run: SweepRun) -> Text:
            value = getattr(run.newest.test, name) if run.newest else None
            text = "" if value is None else format(value, form)
            return Text(text.rjust(7) if len(text) <= 7 else metric(value, 7))

        return cell

    def throughput(run: SweepRun) -> Text:
        return Text((short(run.images_per_s, 6) if run.under_way and run.images_per_s else "").rjust(6))

    def passed(run: SweepRun) -> Text:
        seconds = time.time() - run.begun_at if run.under_way else run.seconds
        return Text((duration(seconds, 7) if seconds else "").rjust(7), QUIET)

    longest = max(len(run.name) for run in runs)
    return [
        Column("state", STATE_WIDTH, 0, state, left=True),
        _bar(signs, LEAST_BAR),
        Column("epoch", size, 1, epoch),
        Column("bits/px", 7, 1, figure("elbo_bpd", ".3f")),
        Column("mse", 7, 3, figure("mse", ".5f")),
        Column("img/s", 6, 2, throughput),
        Column("time", 7, 5, passed),
        Column("run", longest, 6, lambda run: Text(run.name.ljust(longest), QUIET), left=True),
    ]
