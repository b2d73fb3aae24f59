"""The charts of the Train pane: their pages, their x axis, the cursor that reads them, and the window on them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.widget import Widget

from tui_vae.runs.epoch_details import EpochDetails
from tui_vae.runs.history import History
from tui_vae.ui.charts import dashes, x_axis
from tui_vae.ui.charts.draw import nearest_point
from tui_vae.ui.charts.widget import ChartState, ChartWidget, Value
from tui_vae.ui.charts.x_axis import UNITS, UnitName, Window
from tui_vae.ui.figure_file import Figure, Line
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.pane import Pane
from tui_vae.ui.run_progress import why_none
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.train import run_curves
from tui_vae.ui.train.arrangement import usual_charts
from tui_vae.ui.train.chart_grid import ChartGrid
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.figures import Measure, pages
from tui_vae.ui.train.run_curves import SPANS, RunCurves

if TYPE_CHECKING:
    from tui_vae.ui.train.choose_charts import Charts

TICK_SPACING, TIME_SPACING = 7, 10
"""Cells from one tick of the x axis to the next, at least; and where the ticks are times, as `1:02:03`."""


class ChartPane(Pane):
    """The part of the Train pane that has the charts; `TrainPane` adds the rest."""

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.smoothing = self.preferences.smoothing if self.preferences.smoothing in SPANS else SPANS[0]
        """Epochs that a smoothed value is the mean of."""
        self._make_views()
        self.logarithmic = self.preferences.log_scale
        self.unit: UnitName = next((unit for unit in UNITS if unit == self.preferences.x_axis), UNITS[0])
        self.window: Window | None = None
        """The part of the run that the charts show; None while they show all of it and follow its newest step."""
        self.cursor: float | None = None
        self.zoomed: Widget | None = None
        self._whole = self._axis = x_axis.of_run(session.history, self.unit)
        self._answer_until = 0.0
        self._ready = False
        """Whether charts can be drawn."""
        self._details = EpochDetails(session.directory.events)
        self._details_shown = False
        self._drawn: History | None = None
        """The history that was drawn last."""
        self._drawn_as: tuple[object, ...] = ()
        self._drawn_at = 0.0
        """In which situation and when it was drawn, by the monotonic clock."""
        self._waiting = False
        """Whether new figures wait for their turn to be drawn."""

    def _zoom(self, panel: Widget | None) -> None:
        raise NotImplementedError

    def _show_headline(self) -> None:
        raise NotImplementedError

    def wanted_shape(self, height: int) -> tuple[int, int]:
        """Rows and columns of charts in a pane of this height: the user's, else those that suit it."""
        wanted = self.preferences
        return (
            (wanted.chart_rows, wanted.chart_columns)
            if wanted.chart_rows and wanted.chart_columns
            else (usual_charts(height))
        )

    def _make_views(self) -> None:
        self.shape = self.wanted_shape(self.app.size.height)
        """Rows and columns of charts."""
        self.views = [RunCurves(page) for page in pages(self.preferences.charts, *self.shape)]
        self.curves = self.views[0]

    @property
    def _leading_chart(self) -> ChartWidget:
        """The chart whose width determines the ticks and the cursor's steps."""
        return self.zoomed if isinstance(self.zoomed, ChartWidget) else self.query(ChartWidget).first()

    async def _read_details(self) -> None:
        """Read the KL of each dimension, which only the log has, and show the charts of some."""
        before = self._details.details
        try:
            while await asyncio.to_thread(self._details.read):
                pass
        except OSError:
            return  # it cannot be read at the moment: what is known stays on screen
        curves = self.curves
        curves.read_details(self._details.details)
        if self._details.details is not before or not self._details_shown:
            self._details_shown = True
            self._show_charts()

    def _measure(self) -> None:
        """Lay out the x axis."""
        history, spacing = self.session.history, TIME_SPACING if self.unit == "time" else TICK_SPACING
        ticks = max(2, self._leading_chart.plot_width // spacing)
        self._whole = self._axis = x_axis.of_run(history, self.unit, ticks)
        if self.window is not None:
            self._axis = x_axis.of_window(history, self.unit, self.window, ticks)

    def _show_charts(self) -> None:
        if not self._ready:  # a key may come before the curves are read
            return
        controls = run_curves.control_marks(self.session.history)
        self.curves.smooth(self._span if self._span > 1 else 0.0)
        for measure, chart in zip(self.curves.measures, self.query_one(ChartGrid).charts, strict=False):
            if not chart.is_on_screen:
                continue
            sources = self.curves[measure]
            waiting = self._waiting_for("step" if measure.by_step else "epoch") if sources.empty() else ""
            values = self._values(measure)
            notes = self._notes(measure)
            chart.show(ChartState(measure.title, sources, controls, self._axis, values, self.logarithmic, self.cursor,
                             notes, waiting))  # fmt: skip

    def figure(self) -> Figure | None:
        """The chart that is zoomed or chosen, else the first one: all of it, as it was reported."""
        charts = self.query_one(ChartGrid).charts
        chosen = next((chart for chart in charts if chart in (self.zoomed, self.screen.focused)), charts[0])
        measure = self.curves.measures[charts.index(chosen)]
        sources, history = self.curves[measure], self.session.history
        steps = history.gauges if measure.gauge else history.steps
        lines = []
        if measure.by_step and len(steps) and measure.transform is None:
            lines.append(Line("train, by step", steps["step"], steps[measure.field]))
        for name, points in (("train", sources.train_epochs), ("test", sources.test_epochs)):
            if len(points):
                xs, ys = zip(*points[:], strict=True)
                lines.append(Line(name if measure.by_epoch else "", xs, ys))
        unit = f" ({measure.unit})" if measure.unit else ""
        return Figure(measure.title, "step", f"{measure.title}{unit}", tuple(lines)) if lines else None

    @property
    def signs(self) -> tuple[tuple[str, str], ...]:
        train, test = self._marks
        words = "On the training images, and on the test images; each mark on a curve is an epoch"
        dashed = "; the test curve is dashed" if self._dashed else ""
        return ((f"{train}  {test}", f"{words}{dashed}"),)

    @property
    def _dashed(self) -> bool:
        """Whether their lines tell the curves apart, and not their colours."""
        return self.app.no_color and glyphs().braille

    @property
    def _marks(self) -> tuple[str, str]:
        """What stands before a figure of train, and before one of test."""
        return dashes.SAMPLES if self._dashed else (glyphs().train, glyphs().test)

    def _waiting_for(self, unit: str) -> str:
        return why_none(unit, self.session.state, self.session.alive)

    def _notes(self, measure: Measure) -> tuple[str, ...]:
        notes = ["held"] if self.window is not None else []
        if measure.by_step and measure.smoothed and self.cursor is None:  # the cursor shows the raw value as well
            notes.append(f"over {self._span:.0f} steps" if self._span > 1 else "raw")
        return tuple(notes)

    def _values(self, measure: Measure) -> list[Value]:
        """The values in a chart's frame: the newest, or those under the cursor, there also without smoothing."""
        sources, symbols, reading = self.curves[measure], glyphs(), self.cursor is not None
        at = self._newest if self.cursor is None else self.cursor
        values = [Value(self._axis.text(at), "", "", "title")] if reading else []
        marks, line = self._marks, dashes.SAMPLES[0] if self._dashed else symbols.horizontal
        train = "train" if measure.by_epoch else ""
        if reading and sources.steps is not None and sources.steps.span:
            read = sources.steps.at(at)
            if read is not None:
                values.append(Value("", "raw", measure.text(read.raw), "label"))
                values.append(Value(line, train, measure.text(read.smooth), "train"))
        elif (point := nearest_point(sources.train_epochs, at)) is not None:
            values.append(Value(marks[0], train, measure.text(point[1]), "train"))
        elif sources.steps is not None and (read := sources.steps.at(at)) is not None:
            values.append(Value(line, train, measure.text(read.raw), "train"))
        if (point := nearest_point(sources.test_epochs, at)) is not None:
            values.append(Value(marks[1], "test", measure.text(point[1]), "test"))
        return values

    @property
    def _span(self) -> float:
        """Steps that a smoothed value is the mean of."""
        run = self.session.history.run
        return self.smoothing * run.steps_per_epoch if run else 0.0

    @property
    def _newest(self) -> float:
        return float(self.session.history.step)

    def makes_sense_now(self, action: str) -> bool:
        return action != "other_charts" or len(self.views) > 1

    def action_other_charts(self) -> None:
        if len(self.views) == 1:
            self.app.notify("All charts are on the screen; y chooses others.", timeout=4)
            return
        self.curves = self.views[(self.views.index(self.curves) + 1) % len(self.views)]
        self._show_page()

    def _show_page(self) -> None:
        self.query_one(ChartGrid).show_page(self.curves.measures)
        if isinstance(self.zoomed, ChartWidget) and self.zoomed.has_class("-off"):
            self._zoom(None)
        self.call_after_refresh(self.refresh_history)

    def action_choose_charts(self) -> None:
        from tui_vae.ui.train.choose_charts import ChooseCharts

        run, wanted = self.session.history.run, self.preferences
        dimensions = run.config.get("latent-dim") if run else None
        count = dimensions if isinstance(dimensions, int) else 1
        ask = ChooseCharts(wanted.charts, *self.shape, count)
        self.app.push_screen(ask, self._charts_chosen)

    async def _charts_chosen(self, chosen: Charts | None) -> None:
        if chosen is None:
            return
        wanted = self.preferences
        wanted.charts, wanted.chart_rows, wanted.chart_columns = [*chosen.names], chosen.rows, chosen.columns
        self.post_message(PreferencesChanged())
        await self.remake_charts()

    async def remake_charts(self) -> None:
        """Have the charts that are wanted now."""
        self._zoom(None)
        self._make_views()
        await self.query_one(ChartGrid).change(self.curves.measures, *self.shape)
        self._drawn = None
        self._show_page()

    async def action_rate_plane(self) -> None:
        await self.run_action("screen.rate_plane")

    def action_cursor(self, columns: int) -> None:
        """Move the cursor, which first appears at the newest step."""
        if self.cursor is None:
            self._point(self._newest)
        else:
            self._point(self._axis.step(self._axis.place(self.cursor) + columns / self._leading_chart.plot_width))

    def _point(self, step: float | None) -> None:
        """Put the cursor at this step, or at the nearest one in the run and the window; None takes it away."""
        if step is not None:
            first, last = self._axis.window
            step = max(0.0, first, min(step, last, self._newest))
        self.cursor, self._answer_until = step, 0.0
        self.query_one(EpochTable).point(step)
        self._show_charts()
        self._show_headline()

    def action_magnify(self, factor: float) -> None:
        self._magnify(factor, self.cursor)

    def _magnify(self, factor: float, around: float | None) -> None:
        """Show more or less of the x axis around a step; else around the newest one, or the middle if that is hidden.

        Once all of it is shown, the charts follow the run again.
        """
        if around is None:
            around = self._newest if self._axis.place(self._newest) <= 1 else self._axis.step(0.5)
        self._hold(x_axis.zoomed(self._axis, around, factor, self._whole))

    def action_pan(self, direction: int) -> None:
        if self.window is not None:
            self._hold(x_axis.panned(self._axis, direction / 4, self._whole))

    def action_follow(self) -> None:
        self._hold(None)

    def _hold(self, window: Window | None) -> None:
        self.window = window
        self._measure()
        if self.cursor is not None:
            self._point(self.cursor)
        self.refresh_history()
