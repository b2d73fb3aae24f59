"""The table of a sweep on a terminal: it stays in place while runs begin, train and end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from tui_vae.cli.sweep.columns import ACCENT, ASCII, BAD, GOOD, QUIET, STATES, Column, Signs, columns_for
from tui_vae.cli.sweep.report import LineReport, Status, bits_of
from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.sweep.site import Room
from tui_vae.cli.tables import GAP
from tui_vae.config import option_name
from tui_vae.plain_text import plain
from tui_vae.ui.numbers import duration
from tui_vae.ui.terminal import has_unicode

REDRAW_EVERY = 0.25
"""Seconds between two paintings at least, and only of what has changed."""

LINES_AROUND = 8
"""Lines that are no run's: title, bar, heads, the count of runs that are not shown, the best, three empty."""


class TableReport(LineReport):
    """Lines only for what the table does not show: warnings, and why a run failed."""

    def __init__(self, runs: Sequence[SweepRun], room: Room, name: str, varied: Sequence[str], stream: TextIO) -> None:
        super().__init__(len(runs), stream)
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._name, self._varied, self._room = name, varied, room
        self._signs = Signs() if has_unicode(os.environ) else ASCII
        self._status: Status | None = None
        self._painted: Sequence[Text] = ()
        self._size: object = None
        self._columns: Sequence[Column] = ()
        self._columns_key = (0, 0)
        self._pen = Console(file=stream, highlight=False)  # beside that of `Live`, which repaints all at each print
        self._painted_at = 0.0
        self._begun_at = time.monotonic()

    @property
    def is_possible(self) -> bool:
        """Whether the terminal can move its cursor."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def begun(self, run: SweepRun, what: str) -> None:
        pass

    def ended(self, run: SweepRun, status: Status) -> None:
        if run.state in ("failed", "crashed"):
            super()._say(run, f"failed: {run.error}")

    def note(self, text: str) -> None:
        if not self._live.is_started:
            self._live.start()
        self._live.refresh()  # it would paint the table below as it was before its lines were repainted one by one
        self._console.print(Text(plain(text)), soft_wrap=True)

    def show(self, status: Status) -> None:
        self._status = status  # also where it is not painted now: the table that stays shows the last one
        if not self._live.is_started:
            self._live.start()
        if time.monotonic() < self._painted_at + REDRAW_EVERY:
            return
        self._painted_at = time.monotonic()
        self._paint(status)

    def close(self, keep: bool) -> None:
        """The results take the table's place, unless it is to stay."""
        if not self._live.is_started:
            return
        if keep and self._status is not None:
            self._paint(self._status)
        self._live.transient = not keep
        self._live.stop()

    def _paint(self, status: Status) -> None:
        size = self._console.size
        lines = self._lines(status, size.width, size.height)
        changed = [at for at, (line, before) in enumerate(zip(lines, self._painted, strict=False)) if line != before]
        whole = size != self._size or len(lines) != len(self._painted)
        self._painted, self._size = lines, size
        self._live.update(Group(*lines), refresh=whole)
        if changed and not whole:
            self._repaint(lines, changed)

    def _repaint(self, lines: Sequence[Text], changed: Sequence[int]) -> None:
        """Paint some lines in their places: all of them, as `Live` does it, would flicker on a slow connection."""
        with self._pen:
            for at in changed:
                up = len(lines) - 1 - at  # from the last line, where `Live` leaves the cursor
                self._pen.control(Control((ControlType.CURSOR_UP, up)) if up else Control(),
                                  Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))  # fmt: skip
                self._pen.print(lines[at], end="", no_wrap=True)
                self._pen.control(Control((ControlType.CURSOR_DOWN, up)) if up else Control(),
                                  Control(ControlType.CARRIAGE_RETURN))  # fmt: skip

    # -- What stands where ---------------------------------------------------------------------------------------------

    def _lines(self, status: Status, width: int, height: int) -> list[Text]:
        shown = shown_runs(status.runs, max(1, height - 1 - LINES_AROUND))
        columns = self._columns_for(status.runs, width)
        lines = [self._title(status, width), self._signs.bar(status.share, width), Text()]
        lines.append(_row([Text(" "), *(column.heading() for column in columns)]))
        lines += [_row([self._signs.mark(run), *(column.cell(run) for column in columns)]) for run in shown]
        if len(shown) < len(status.runs):
            hidden = [run for run in status.runs if run not in shown]
            lines.append(Text(f"{self._signs.more}{GAP}and {_counted(hidden)}", QUIET))
        lines += [Text(), self._best(status), Text()]  # where the terminal shows ^C, and whatever else is typed
        for line in lines:
            line.truncate(width)
        return lines

    def _columns_for(self, runs: Sequence[SweepRun], width: int) -> Sequence[Column]:
        """The columns of the last time, where the terminal and the numbers of epochs are those of the last time."""
        key = width, max(run.planned for run in runs)
        if key != self._columns_key:
            self._columns_key = key
            self._columns = columns_for(runs, self._name, self._varied, self._signs, width)
        return self._columns

    def _title(self, status: Status, width: int) -> Text:
        failed = sum(run.state in ("failed", "crashed") for run in status.runs)
        end = f"ETA {duration(status.left, 7)}"
        if status.stopping:
            end = "stopping after checkpoints" if any(run.under_way for run in status.runs) else "stopped"
        right = Text.assemble(
            f"{status.finished}/{len(status.runs)} finished", ", " if failed else "",
            (f"{failed} failed" if failed else "", BAD), f"  {100 * status.share:3.0f} %  ",
            (end, f"bold {ACCENT}"),
        )  # fmt: skip
        threads = self._room.threads
        each = f", {threads} thread{'s' if threads > 1 else ''} each" if threads else ""
        at_once = f"  {len(status.runs)} runs, {self._room.count} at once"
        room = width - len(right) - 2 - len(self._name)
        about = next((words for words in (at_once + each, at_once) if len(words) <= room), "")
        left = Text.assemble((self._name, "bold"), (about, QUIET))
        left.truncate(max(0, width - len(right) - 2))
        return Text.assemble(left, " " * max(1, width - len(left) - len(right)), right)

    def _best(self, status: Status) -> Text:
        run = status.best
        if run is None or run.best is None:
            return Text()
        test = run.best.test
        mse = f"  mse {test.mse:.5f}" if test.mse is not None else ""
        settings = ", ".join(f"{option_name(name)} {value}" for name, value in
                             zip(self._varied, run.settings(self._varied), strict=True))  # fmt: skip
        return Text.assemble(("best so far  ", QUIET), (f"{test.elbo_bpd:.3f} bits/px{mse}", f"bold {GOOD}"),
                             f"  {settings}", (f"  epoch {run.best.epoch}", QUIET))  # fmt: skip


def shown_runs(runs: Sequence[SweepRun], room: int) -> list[SweepRun]:
    """As many runs as there is room for, in their order: those under way, then failed ones, the best, the next ones."""
    if len(runs) <= room:
        return list(runs)

    def importance(run: SweepRun) -> tuple[int, float]:
        if run.under_way:
            return 0, run.number
        if run.error is not None:
            return 1, run.number
        if run.state == "finished":
            return 2, bits_of(run.best) or 0.0
        return 3, run.number

    ranked = sorted(runs, key=importance)
    going = sum(run.under_way for run in runs)
    upcoming = [run for run in runs if run.waits][: max(1, (room - going) // 3)]
    others = [run for run in ranked if run not in upcoming][: max(0, room - len(upcoming))]
    return sorted([*upcoming, *others][:room], key=lambda run: run.number)


def _counted(runs: Sequence[SweepRun]) -> str:
    """`3 finished, 80 waiting`."""
    counts = {state: sum(run.state == state for run in runs) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _row(cells: Sequence[Text]) -> Text:
    return Text(GAP).join(cells)
