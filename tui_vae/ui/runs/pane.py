"""The Runs pane: all runs in a table, the curves of the marked ones in one chart, and how their configs differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from tui_vae.config import train_options
from tui_vae.runs import advice
from tui_vae.runs.comparison import why_incomparable
from tui_vae.runs.run_records import Record
from tui_vae.runs.steering import wordings
from tui_vae.ui.charts import raster
from tui_vae.ui.figure_file import Figure
from tui_vae.ui.fitting import first_that_fits
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.key_advice import why_failed
from tui_vae.ui.messages import OpenRun, PreferencesChanged
from tui_vae.ui.runs.actions import RunActions
from tui_vae.ui.runs.columns import NAMED, Column, next_column
from tui_vae.ui.runs.comparison import Comparison
from tui_vae.ui.runs.draw_overlay import MEASURES, PLANE, Series, series
from tui_vae.ui.runs.draw_plane import figure_of, path_of
from tui_vae.ui.runs.groups import Group, Row, rows_of
from tui_vae.ui.runs.keys import BINDINGS
from tui_vae.ui.runs.overlay_chart import OverlayChart, OverlayState
from tui_vae.ui.runs.table import Rows, RunsTable, arrow_of
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.workarounds.key_bursts import Input

REFRESH_SECONDS = 2.0
"""Seconds between checks of all runs."""

BETWEEN_PIECES = 0.01
"""Seconds between two pieces of the logs, while there is more to read: keys are answered meanwhile."""

READ_SECONDS = 0.3
"""Seconds of reading logs before the table shows what has been read."""

WIDE = 110
"""Cells of width from which curves and configs stand side by side."""

TALL = 26
"""Rows from which curves and configs stand below the table even when nothing is marked."""

TABLE_SHARE, LEAST_ROWS = 0.45, 7
"""The share of the height that the table has at most above curves or configs; and its rows at least, with the frame."""

MOST_UNFOLDED = 100
"""Groups that are remembered as unfolded."""

CONFIGS_SHARE = 0.45
"""The share of the width that configs have at most beside curves."""

Lower = Literal["none", "curves", "configs"]


class RunsPane(RunActions, can_focus=True):
    """The pane's own keys act on the selected run; those of the screen act on the run on screen."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET = "runs.tcss"

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.sorted_by: Column = NAMED["started"]
        self.reversed = False
        self.words = ""
        self.measure = MEASURES[0]
        self.logarithmic = False
        self.shortest = False
        self.lower_chosen: Lower | None = None
        """What the user has chosen to see below the table; None while that depends on the room and the marks."""
        self._ready = False
        self._sensible: set[str] = set()
        """The actions that made sense when the key bar was last drawn."""

    def compose(self) -> ComposeResult:
        yield RunsTable(self.marks)
        with Horizontal(id="runs-filter"):
            yield Static("/", id="runs-slash")
            yield Input(placeholder="words, or an option such as latent-dim=8", compact=True)
        with Vertical(id="runs-about"):
            yield Static(id="runs-why", markup=False)
            yield Static(id="runs-note", markup=False)
            yield Static(id="runs-command", markup=False)
        with Horizontal(id="runs-lower"):
            yield OverlayChart(id="runs-curves")
            yield Comparison(id="runs-configs")

    def begin(self) -> None:
        self.set_class(not glyphs().braille, "-ascii")
        self.query_one("#runs-filter").display = False
        self.query_one(RunsTable).border_title = "runs"
        self.sorted_by = NAMED.get(self.preferences.runs_sort, self.sorted_by)
        self.reversed = self.preferences.runs_reversed
        self.run_worker(self._keep_up(), group="keep-up")
        self.run_worker(self._prepare(), group="prepare")

    async def _prepare(self) -> None:
        await asyncio.to_thread(raster.preload)
        self._ready = True
        self._show_lower()

    async def _keep_up(self) -> None:
        """Keep the table up to date while anybody sees it."""
        seconds = 0.0
        while True:
            whole = True
            if self.watched:
                whole = await asyncio.to_thread(self.library.update, seconds)
                seconds = READ_SECONDS
                self._show()
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), REFRESH_SECONDS if whole else BETWEEN_PIECES)

    def refresh_history(self) -> None:
        """Do nothing: `_keep_up` reads the logs of all runs, this one's included."""

    def on_show(self) -> None:
        self._wake.set()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    # What is shown

    @property
    def filtering(self) -> bool:
        """Whether the user is typing words to filter by."""
        return any(field.has_focus for field in self.query(Input))

    @property
    def wide(self) -> bool:
        """Whether there is room for curves and configs side by side."""
        return self.size.width >= WIDE

    @property
    def lower(self) -> Lower:
        """What stands below the table; in a wide pane 'curves' means curves and configs."""
        if self.lower_chosen is not None:
            return "curves" if self.wide and self.lower_chosen != "none" else self.lower_chosen
        return "curves" if self.size.height >= TALL or len(self.marks.marked) > 1 else "none"

    @property
    def compared(self) -> list[Row]:
        """The marked runs and groups; the selected one where none is marked."""
        known = {row.path: row for row in (*self.library.records, *self.rows)}
        marked = [known[path] for path in self.marks.marked if path in known]
        return marked or [row for row in (self.selected_row,) if row is not None]

    def _show(self) -> None:
        if not self.is_mounted or not self.size.height:
            return
        before = next((at for at, record in enumerate(self.rows) if record.path == self.cursor), 0)
        unfolded = self.preferences.runs_unfolded
        self.rows = rows_of(self.library.records, self.words, self.sorted_by, self.reversed, unfolded)
        if self.selected_row is None:  # folded, perhaps
            group = next((row for row in self.rows if isinstance(row, Group) and self._is_in(row)), None)
            self.cursor = group.path if group else self.cursor
        if self.selected_row is None and self.rows:  # filtered out, or deleted
            self.cursor = self.rows[min(before, len(self.rows) - 1)].path
        self._lay_out()
        self._show_table()
        self._show_about()
        self._show_lower()
        actions = {binding.action for binding in self.BINDINGS if isinstance(binding, Binding)}
        sensible = {action for action in actions if self.makes_sense_now(action.partition("(")[0])}
        if sensible != self._sensible:
            self._sensible = sensible
            self.refresh_bindings()

    def _lay_out(self) -> None:
        lower, height = self.lower, self.size.height
        table = self.query_one(RunsTable)
        rows = len(self.library.records) + 3
        above = max(LEAST_ROWS, min(rows, int(height * TABLE_SHARE)))
        table.styles.height = above if lower != "none" else "1fr"
        self.query_one("#runs-lower").display = lower != "none"
        self.query_one("#runs-curves").display = lower == "curves"
        self.query_one("#runs-configs").display = lower == "configs" or (self.wide and lower == "curves")

    def _show_table(self) -> None:
        table, total = self.query_one(RunsTable), len(self.library.records)
        down = self.sorted_by.down != self.reversed
        empty = "" if not total else f"no run matches {self.words}"
        count = f"{len(self.rows)} of {total}" if self.words else f"{total} run{'s' * (total != 1)}"
        if len(self.rows) > table.room:
            at = next((at for at, record in enumerate(self.rows, 1) if record.path == self.cursor), 1)
            count = f"{at} in {count}"
        marked = f" · {len(self.marks.marked)} marked" if self.marks.marked else ""
        subtitle = glyphs().plain(f"{count}{marked} · by {self.sorted_by.title} {arrow_of(down)}")
        if table.border_subtitle != subtitle:  # Textual repaints the whole table even for an equal title
            table.border_subtitle = subtitle
        longest = max((len(record.name) for record in self.library.records), default=0) + 2
        table.show(Rows(self.rows, self.cursor, self.session.directory.path, self.sorted_by.name, down, longest, empty))

    def _show_about(self) -> None:
        record, row = self.selected, self.selected_row
        note = record.note if record else ""
        if isinstance(row, Group):
            note = row.note
        if record and record.after:
            note = f"begins when {record.after} has ended" + (f" · {note}" if note else "")
        command = ""
        if record and record.config:
            command = advice.command("train", self.library.runs_dir, options=train_options(record.config))
            if record.steered:
                changed = first_that_fits(wordings([*map(str, record.steered)]), self.size.width // 2)
                command = glyphs().plain(f"steered: {changed}; without that it is {command}")
        low, why = self.size.height < TALL, why_failed(record.why) if record else ""
        for name, text, shown in (
            ("why", why, bool(why)),
            ("note", note or ("N writes a note" if record else ""), bool(note) or not low),
            ("command", command, not (low and note)),
        ):
            line = self.query_one(f"#runs-{name}", Static)
            line.display = shown
            line.set_class(name == "note" and not note, "-none")
            if line.content != text:
                line.update(text, layout=name == "why")

    def _show_lower(self) -> None:
        if self.lower == "none" or not self.is_mounted:
            return
        records = self.compared
        slots = [self.marks.slot(record.path) for record in records]
        comparison = self.query_one(Comparison)
        comparison.show(records, slots)
        beside = min(comparison.wanted_width, int(self.size.width * CONFIGS_SHARE))
        comparison.styles.width = beside if self.wide else "1fr"
        chart = self.query_one(OverlayChart)
        plane = self.measure is PLANE
        drawn: list[tuple[Record | Group, Series]] = [
            (record, path_of(record, slot) if plane else series(record, self.measure, slot))
            for record, slot in zip(records, slots, strict=True)
        ]
        drawn = [(record, curve) for record, curve in drawn if curve.newest is not None]
        found = [curve for _, curve in drawn]
        unread = not records or any(not record.state for record in records)
        none = "this figure is not in their logs" if any(each.curve for each in records) else "no epoch is finished yet"
        waiting = "" if found and self._ready else "…" if unread or not self._ready else none
        apart = why_incomparable([record for record, _ in drawn], is_loss=self.measure.name == "loss")
        shown = found if self._ready else ()
        chart.show(OverlayState(shown, self.measure, self.logarithmic, self.shortest, apart, waiting))

    def figure(self) -> Figure | None:
        return figure_of(self.compared, self.measure)

    # What the keys do

    def makes_sense_now(self, action: str) -> bool:
        record = self.selected
        if action == "back":
            return bool(self.words) or self.filtering
        if action == "filter":
            return not self.filtering
        if action == "measure":
            return self.lower == "curves"
        if action == "resume":
            return record is not None and record.state not in ("loading", "training")
        if action in ("rename", "delete"):
            return record is not None and not record.alive
        return True

    def action_move(self, by: int) -> None:
        if self.rows:
            at = next((at for at, record in enumerate(self.rows) if record.path == self.cursor), 0)
            self.cursor = self.rows[max(0, min(at + by, len(self.rows) - 1))].path
            self._show()

    def action_page(self, by: int) -> None:
        self.action_move(by * self.query_one(RunsTable).room)

    def action_scroll_configs(self, by: int) -> None:
        self.query_one(Comparison).scroll_rows(by)

    def _is_in(self, group: Group) -> bool:
        return any(member.path == self.cursor for member in group.members)

    def _turn_fold(self, group: Group) -> None:
        """Unfold a group into its runs, or fold it."""
        unfolded = self.preferences.runs_unfolded
        self.preferences.runs_unfolded = (
            [*unfolded, group.name][-MOST_UNFOLDED:]
            if group.folded
            else [each for each in unfolded if each != group.name]
        )
        self.post_message(PreferencesChanged())
        self._show()

    async def action_open(self) -> None:
        if isinstance(row := self.selected_row, Group):
            self._turn_fold(row)
            return
        record = self.selected
        if record is None:
            return
        if self.is_open(record):
            await self.run_action("screen.show_pane('train')")
        else:
            self.post_message(OpenRun(record.directory, "train"))

    def action_mark(self) -> None:
        record = self.selected_row
        if record is None:
            return
        if not self.marks.toggle(record.path):
            self.notify(f"{len(self.marks.marked)} runs are marked; more could not be told apart.", severity="warning")
        self._show()

    def action_clear_marks(self) -> None:
        self.marks.clear()
        self._show()

    def action_lower(self) -> None:
        turns: Sequence[Lower] = ("none", "curves") if self.wide else ("none", "curves", "configs")
        self.lower_chosen = turns[(turns.index(self.lower) + 1) % len(turns)]
        self._show()
        self.call_after_refresh(self._show)

    def show_plane(self, path: Path) -> None:
        """Show the plane of rate and distortion, with the run at `path` marked."""
        if path not in self.marks:
            self.marks.toggle(path)
        self.cursor, self.measure, self.lower_chosen = path, PLANE, "curves"
        self._show()

    def action_measure(self, by: int) -> None:
        self.measure = MEASURES[(MEASURES.index(self.measure) + by) % len(MEASURES)]
        self._show_lower()

    def action_shortest(self) -> None:
        self.shortest = not self.shortest
        self._show_lower()

    def action_log_scale(self) -> None:
        self.logarithmic = not self.logarithmic
        self._show_lower()

    def action_sort_by(self, by: int) -> None:
        shown = [column for column, _ in self.query_one(RunsTable).columns]
        self._sort(next_column(self.sorted_by, by, shown))

    def _sort(self, column: Column) -> None:
        self.reversed = not self.reversed if column is self.sorted_by else False
        self.sorted_by = column
        self._keep_order()

    def action_reverse(self) -> None:
        self.reversed = not self.reversed
        self._keep_order()

    def _keep_order(self) -> None:
        self.preferences.runs_sort, self.preferences.runs_reversed = self.sorted_by.name, self.reversed
        self.post_message(PreferencesChanged())
        self._show()

    def action_filter(self) -> None:
        self.query_one("#runs-filter").display = True
        self.query_one(Input).focus()

    def action_back(self) -> None:
        self.query_one(Input).value = self.words = ""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.query_one("#runs-filter").display = bool(self.words)
        self.focus()
        self._show()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.words = event.value.strip()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave_filter()

    def on_runs_table_pointed(self, message: RunsTable.Pointed) -> None:
        self.cursor = message.path
        self._show()
        if message.twice:
            self.run_worker(self.action_open())

    def on_runs_table_head_clicked(self, message: RunsTable.HeadClicked) -> None:
        if message.column.key is not None:
            self._sort(message.column)
