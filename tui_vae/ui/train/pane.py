"""The Train pane: four charts, the epochs' figures and the previews of a run, alive or not."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from tui_vae.runs.history import History
from tui_vae.ui import numbers, run_progress
from tui_vae.ui.charts import raster, x_axis
from tui_vae.ui.charts.draw import nearest_point
from tui_vae.ui.charts.widget import ChartState, ChartWidget, Value
from tui_vae.ui.charts.x_axis import UNITS, UnitName, Window
from tui_vae.ui.fitting import SEPARATOR, parts_that_fit
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.pane import Pane
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.train import run_curves
from tui_vae.ui.train.arrangement import ARRANGEMENTS, arrangement, strip_width
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.keys import BINDINGS
from tui_vae.ui.train.log_pane import LogPane
from tui_vae.ui.train.preview_strip import PreviewStrip
from tui_vae.ui.train.run_curves import MEASURES, SPANS, VIEWS, Measure, RunCurves

BARS = Size(0, 3)
"""Rows of the screen that the status line, the tabs and the key bar take."""

ANSWER_SECONDS = 5.0
"""Seconds that the settings stand in the headline after a key has changed one of them."""

MOST_STEPS = 50_000
"""Steps that are read in one go: keys are answered between two goes, while the curves of a long run are made."""

WHOLE = ("failed", "crashed", "paused")
"""The states whose sentence takes as many lines as it needs: it says why, and what to do."""

TICK_SPACING, TIME_SPACING = 7, 10
"""Cells from one tick of the x axis to the next, at least; and where the ticks are times, as `1:02:03`."""


class Headline(Static):
    """One line about the run's state, or about the settings of the charts."""


class TrainPane(Pane):
    """Draws the session's history whenever it has changed."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET = "train.tcss"

    def __init__(self, session: RunSession, preferences: Preferences) -> None:
        super().__init__(session, preferences)
        self.smoothing = self.preferences.smoothing if self.preferences.smoothing in SPANS else SPANS[0]
        """Epochs that a smoothed value is the mean of."""
        self.views = [RunCurves(measures) for measures in VIEWS]
        self.curves = self.views[0]
        self.logarithmic = self.preferences.log_scale
        self.unit: UnitName = next((unit for unit in UNITS if unit == self.preferences.x_axis), UNITS[0])
        self.window: Window | None = None
        """The part of the run that the charts show; None while they show all of it and follow its newest step."""
        self.cursor: float | None = None
        self.zoomed: Widget | None = None
        self._whole = self._axis = x_axis.of_run(session.history, self.unit)
        self._answer_until = 0.0
        self._drawn: History | None = None
        self._ready = False

    def compose(self) -> ComposeResult:
        yield Headline()
        with Container(id="charts"):
            for measure in MEASURES:
                yield ChartWidget(id=f"chart-{measure.name}")
        with Container(id="looks"):
            yield PreviewStrip(self.session, self.preferences, id="previews")
            yield EpochTable(id="epochs")

    @property
    def panels(self) -> list[Widget]:
        """All that the zoom can reach, in the order of the key."""
        return [*self.query(ChartWidget), self.query_one(PreviewStrip), self.query_one(EpochTable)]

    @property
    def _leading_chart(self) -> ChartWidget:
        """The chart whose width determines the ticks and the cursor's steps."""
        return self.zoomed if isinstance(self.zoomed, ChartWidget) else self.query(ChartWidget).first()

    def on_mount(self) -> None:
        self.set_class(not glyphs().braille, "-ascii")
        self._arrange(self.app.size - BARS)  # before the first layout, so that there is only one
        self.run_worker(self._prepare())

    async def _prepare(self) -> None:
        await asyncio.to_thread(raster.preload)
        self._ready = True
        self.refresh_history()
        if self.session.partial:
            self.call_after_refresh(self.session.drawn.set)

    def on_resize(self, event: events.Resize) -> None:
        self._drawn = None
        self._arrange(event.size)
        self.call_after_refresh(self.refresh_history)

    def _arrange(self, size: Size) -> None:
        chosen = arrangement(size.width, size.height)
        for each in ARRANGEMENTS:
            self.set_class(each == chosen, f"-{each}")
        self.query_one(PreviewStrip).styles.width = strip_width(size.width) if chosen == "stacked" else "1fr"

    def on_show(self) -> None:
        self.call_after_refresh(self.refresh_history)

    def refresh_history(self) -> None:
        """Show what the history tells now. Only cells that have changed are sent to the terminal."""
        if not self._ready or not self.is_attached or not self.size:
            return
        history = self.session.history
        if self.session.partial and history is self._drawn:  # the two ends of a long log, while the rest is read
            self._show_headline()
            return
        self._drawn = history
        if not self.curves.read(history, MOST_STEPS):
            self.call_later(self.refresh_history)
            return
        self._measure()
        self._show_headline()
        if self.has_class("-log"):
            self.query_one(LogPane).refresh_history()
            return
        self._show_charts()
        best = history.best
        self.query_one(EpochTable).show(history.epochs, best.epoch if best else 0, self._waiting_for("epoch"))
        self.query_one(PreviewStrip).refresh_history()

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
        for measure, chart in zip(self.curves.measures, self.query(ChartWidget), strict=True):
            if not chart.is_on_screen:
                continue
            sources = self.curves[measure]
            waiting = self._waiting_for("step" if measure.by_step else "epoch") if sources.empty() else ""
            values = self._values(measure)
            notes = self._notes(measure)
            chart.show(ChartState(measure.title, sources, controls, self._axis, values, self.logarithmic, self.cursor,
                             notes, waiting))  # fmt: skip

    def _waiting_for(self, unit: str) -> str:
        return f"after the first {unit}" if self.session.alive else f"no {unit} yet"

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
        train = "train" if measure.by_epoch else ""
        if reading and sources.steps is not None and sources.steps.span:
            read = sources.steps.at(at)
            if read is not None:
                values.append(Value("", "raw", measure.text(read.raw), "label"))
                values.append(Value(symbols.horizontal, train, measure.text(read.smooth), "train"))
        elif (point := nearest_point(sources.train_epochs, at)) is not None:
            values.append(Value(symbols.train, train, measure.text(point[1]), "train"))
        elif sources.steps is not None and (read := sources.steps.at(at)) is not None:
            values.append(Value(symbols.horizontal, train, measure.text(read.raw), "train"))
        if (point := nearest_point(sources.test_epochs, at)) is not None:
            values.append(Value(symbols.test, "test", measure.text(point[1]), "test"))
        return values

    @property
    def _span(self) -> float:
        """Steps that a smoothed value is the mean of."""
        run = self.session.history.run
        return self.smoothing * run.steps_per_epoch if run else 0.0

    @property
    def _newest(self) -> float:
        return float(self.session.history.step)

    def _show_headline(self) -> None:
        role, text = self._headline()
        headline = self.query_one(Headline)
        for each in ("queued", "loading", "paused", "finished", "stopped", "failed", "crashed", "warning", "settings"):
            headline.set_class(role == each, f"-{each}")
        if role not in WHOLE:
            text = parts_that_fit(text.split(SEPARATOR), headline.size.width) or text
        content = Content(glyphs().plain(text))
        if headline.content != content:
            headline.update(content, layout=role in WHOLE or headline.size.height > 1)

    def _headline(self) -> tuple[str, str]:
        """The role and the text of the most important thing to say."""
        history, state = self.session.history, self.session.state
        if not self.session.caught_up:
            return "loading", f"reading the log… {self.session.share_read:.0%}"
        settings, sentence = self._settings(), run_progress.sentence(history, state)
        answering = bool(settings) and time.monotonic() < self._answer_until
        if self.cursor is not None and not answering:
            return "settings", f"{self._place_of_the_cursor()} · escape leaves the cursor"
        if self.window is not None:
            words = settings if answering else sentence or settings
            return "settings", " · ".join(each for each in ("held, f follows", words) if each)
        if answering:
            return "settings", settings
        if sentence and not (self.zoomed is not None and settings):
            return run_progress.state_role(state, history.health(state)), sentence
        warning = run_progress.fresh_warning(history, time.time())
        return ("warning", f"{warning} · w shows the log") if warning else ("settings", settings)

    def _place_of_the_cursor(self) -> str:
        history, at = self.session.history, self.cursor or 0.0
        return " · ".join(x_axis.of_run(history, name).text(at) for name in UNITS)

    def _settings(self) -> str:
        steps = self.session.history.steps
        if not len(steps):
            return ""
        smoothing = f"the mean of {self._span:.0f} steps" if self._span > 1 else "as reported"
        words = (
            f"learning rate {numbers.setting(steps['lr'][-1])}",
            f"β {numbers.setting(steps['beta'][-1])}",
            f"train curves {smoothing}",
            f"x in {self._axis.name}",
        )
        return " · ".join(words)

    def _answer(self) -> None:
        """Draw and remember what a key has changed, and show the settings for a while before anything else."""
        self.preferences.smoothing, self.preferences.log_scale = self.smoothing, self.logarithmic
        self.preferences.x_axis = self.unit
        self.post_message(PreferencesChanged())
        self._answer_until = time.monotonic() + ANSWER_SECONDS
        self.refresh_history()
        self.set_timer(ANSWER_SECONDS + 0.1, self._show_headline)

    def action_log_scale(self) -> None:
        self.logarithmic = not self.logarithmic
        self._answer()

    def action_x_axis(self) -> None:
        self.unit = UNITS[(UNITS.index(self.unit) + 1) % len(UNITS)]
        self._answer()

    def action_smoothing(self) -> None:
        self.smoothing = SPANS[(SPANS.index(self.smoothing) + 1) % len(SPANS)]
        self._answer()

    def action_other_charts(self) -> None:
        self.curves = self.views[(self.views.index(self.curves) + 1) % len(self.views)]
        self.refresh_history()

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

    def action_log(self) -> None:
        self._show_log(not self.has_class("-log"))

    def _show_log(self, shown: bool) -> None:
        if shown and not self.query(LogPane):
            self.mount(LogPane(self.session))
        self.set_class(shown, "-log")
        self.screen.set_focus(self.query_one(LogPane) if shown else next(p for p in self.panels if p.focusable))
        self.call_after_refresh(self.refresh_history)

    def action_next_panel(self, direction: int) -> None:
        """Choose another panel. The zoom goes with it, and reaches panels that this arrangement leaves out."""
        panels = self.panels if self.zoomed else [panel for panel in self.panels if panel.focusable]
        focused = self.screen.focused
        at = panels.index(focused) if focused in panels else -1
        chosen = panels[(at + direction) % len(panels)]
        if self.zoomed:
            self._zoom(chosen)
        self.screen.set_focus(chosen)

    def action_zoom(self) -> None:
        focused = self.screen.focused
        self._zoom(None if self.zoomed else focused if focused in self.panels else self.panels[0])

    def action_gallery(self) -> None:
        stops: list[Widget | None] = [self.query_one(PreviewStrip), self.query_one(EpochTable), None]
        self._zoom(stops[(stops.index(self.zoomed) + 1) % 3] if self.zoomed in stops else stops[0])

    def action_back(self) -> None:
        if self.has_class("-log"):
            self._show_log(False)
        elif self.cursor is not None:
            self._point(None)
        else:
            self._zoom(None)

    def _zoom(self, panel: Widget | None) -> None:
        """Show one panel alone, or all of them again."""
        if self.has_class("-log"):
            self._show_log(False)
        self.zoomed = panel
        self.set_class(panel is not None, "-zoom")
        for each in self.panels:
            each.set_class(each is panel, "-zoomed")
            if each.parent is not None and isinstance(each.parent, Widget):
                each.parent.set_class(panel is not None and panel.parent is each.parent, "-holds-zoomed")
        if panel is not None:
            self.screen.set_focus(panel)
        self.call_after_refresh(self.refresh_history)

    @on(LogPane.Left)
    def _log_left(self, message: LogPane.Left) -> None:
        message.stop()
        self._show_log(False)

    @on(EpochTable.Pointed)
    def _epoch_pointed(self, message: EpochTable.Pointed) -> None:
        message.stop()
        self._point(message.step)

    @on(ChartWidget.Pointed)
    def _pointed(self, message: ChartWidget.Pointed) -> None:
        message.stop()
        self._point(None if message.place is None else self._axis.step(message.place))

    @on(ChartWidget.Scrolled)
    def _scrolled(self, message: ChartWidget.Scrolled) -> None:
        message.stop()
        self._magnify(0.5 if message.direction > 0 else 2.0, self._axis.step(min(1.0, max(0.0, message.place))))

    @on(ChartWidget.Chosen)
    def _chosen(self, message: ChartWidget.Chosen) -> None:
        message.stop()
        self._zoom(None if self.zoomed else message.chart)
