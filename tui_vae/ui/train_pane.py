"""The Train pane: four charts, the epochs' figures and the previews of a run, alive or not."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Static

from tui_vae.ui import charts, numbers, progress, raster, run_curves
from tui_vae.ui.chart_widget import ChartWidget, Sheet
from tui_vae.ui.epoch_table import EpochTable
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.preview_strip import PreviewStrip
from tui_vae.ui.run_curves import MEASURES, SMOOTHINGS, Measure, RunCurves
from tui_vae.ui.session import RunSession

Arrangement = Literal["columns", "stacked", "beside", "compact"]
ARRANGEMENTS: tuple[Arrangement, ...] = ("columns", "stacked", "beside", "compact")

BARS = Size(0, 3)
"""What the status line, the tabs and the keys take of the screen."""

TABLE_WIDTH = 34
"""Cells that the table of epochs has at least, beside images of half size."""


def arrangement(width: int, height: int) -> Arrangement:
    """What is shown in so much room. An image is 28×14 cells, or 14×7 at half size, and is drawn twice.

    columns: charts left; large images and the table right. stacked: charts above; small images and the table below.
    beside: charts and the table. compact: charts alone. The zoom reaches everything in all of them.
    """
    if width >= 148 and height >= 40:
        return "columns"
    if width >= 64 and height >= 29:
        return "stacked"
    return "beside" if width >= 116 else "compact"


class Headline(Static):
    """One line that says what is happening, or what the signs in the charts mean and which settings hold."""


class TrainPane(Widget):
    """Reads the session's history when told that it changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "zoom", "zoom", id="train.zoom", tooltip="Show the chosen panel alone, and back"),
        Binding("l", "log_scale", "log", id="train.log", tooltip="Logarithmic or linear y axes"),
        Binding("m", "smoothing", "smooth", id="train.smooth", show=False,
                tooltip="How strongly the train curve is smoothed"),
        Binding("t", "x_axis", "steps/epochs", id="train.axis", show=False,
                tooltip="Count the x axis in steps or in epochs"),
        Binding("left", "cursor(-1)", "read", id="train.left", key_display="← →",
                tooltip="Move the cursor that reads the curves to the left"),
        Binding("right", "cursor(1)", "read", id="train.right", show=False,
                tooltip="Move the cursor that reads the curves to the right"),
        Binding("shift+left", "cursor(-10)", "read", id="train.far-left", show=False,
                tooltip="Move the cursor ten columns to the left"),
        Binding("shift+right", "cursor(10)", "read", id="train.far-right", show=False,
                tooltip="Move the cursor ten columns to the right"),
        Binding("tab", "next_panel(1)", "next panel", id="train.next", show=False, tooltip="Choose the next panel"),
        Binding("shift+tab", "next_panel(-1)", "previous panel", id="train.previous", show=False,
                tooltip="Choose the previous panel"),
        Binding("escape", "back", "back", id="train.back", show=False, tooltip="Leave the cursor, then the zoom"),
    ]  # fmt: skip

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session
        self.curves = RunCurves()
        self.logarithmic = False
        self.in_epochs = True
        self.cursor: float | None = None
        self.zoomed: Widget | None = None
        self._ready = False
        self._axis = run_curves.axis(session.history, self.in_epochs)

    def compose(self) -> ComposeResult:
        yield Headline()
        with Container(id="charts"):
            for measure in MEASURES:
                yield ChartWidget(measure.title, id=f"chart-{measure.name}")
        with Container(id="looks"):
            yield PreviewStrip(self.session, id="previews")
            yield EpochTable(id="epochs")

    @property
    def panels(self) -> list[Widget]:
        return [*self.query(ChartWidget), self.query_one(PreviewStrip), self.query_one(EpochTable)]

    @property
    def _leading_chart(self) -> ChartWidget:
        """The chart whose width decides on ticks and steps of the cursor."""
        return self.zoomed if isinstance(self.zoomed, ChartWidget) else self.query(ChartWidget).first()

    def on_mount(self) -> None:
        self.set_class(not glyphs().braille, "-ascii")
        self._arrange(self.app.size - BARS)  # before the first layout, so that it is the right one
        self.run_worker(self._prepare())

    async def _prepare(self) -> None:
        await asyncio.to_thread(raster.preload)
        self._ready = True
        self.refresh_history()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size)
        self.call_after_refresh(self.refresh_history)

    def _arrange(self, size: Size) -> None:
        chosen = arrangement(size.width, size.height)
        for each in ARRANGEMENTS:
            self.set_class(each == chosen, f"-{each}")
        pairs = max(2, min(8, (size.width - TABLE_WIDTH - 1) // 15))
        self.query_one(PreviewStrip).styles.width = 15 * pairs + 1 if chosen == "stacked" else "1fr"
        self.set_class(size.width >= 190, "-three-pairs")

    def on_show(self) -> None:
        self.call_after_refresh(self.refresh_history)

    def refresh_history(self) -> None:
        """Show what the history tells now. What did not change on the screen is not sent to the terminal."""
        if not self.is_attached or not self.size:
            return
        history = self.session.history
        self.curves.read(history)
        self._axis = run_curves.axis(history, self.in_epochs, max(2, self._leading_chart.plot_width // 8))
        self._show_headline()
        self._show_charts()
        best = history.best
        self.query_one(EpochTable).show(history.epochs, best.epoch if best else 0)
        self.query_one(PreviewStrip).refresh_history()

    def _show_charts(self) -> None:
        controls = run_curves.control_marks(self.session.history)
        for measure, chart in zip(MEASURES, self.query(ChartWidget), strict=True):
            if not chart.is_on_screen:
                continue
            sources = self.curves[measure]
            waiting = ""
            if sources.empty():
                unit = "step" if measure.by_step else "epoch"
                waiting = f"after the first {unit}" if self.session.alive else f"no {unit} yet"
            elif not self._ready:
                waiting = " "
            values = self._values(measure)
            axis = self._axis
            chart.show(Sheet(sources, controls, axis.end, axis.ticks, values, self.logarithmic, self.cursor, waiting))

    def _values(self, measure: Measure) -> list[tuple[str, str]]:
        """The newest values for a chart's frame, or those under the cursor."""
        sources, signs, axis = self.curves[measure], glyphs(), self._axis
        at = axis.end if self.cursor is None else self.cursor
        values: list[tuple[str, str]] = []
        if self.cursor is not None:
            values.append((f"{axis.text(at)}  ", "title"))
        train = sources.steps.at(at) if sources.steps is not None else charts.nearest(sources.train_epochs, at)
        test = charts.nearest(sources.test_epochs, at)
        if train is not None:
            sign = signs.horizontal if sources.steps is not None else signs.train
            values.append((f"{sign} train {measure.text(train[1])}  ", "train"))
        if test is not None:
            values.append((f"{signs.test} test {measure.text(test[1])}", "test"))
        return values

    def _show_headline(self) -> None:
        session, signs = self.session, glyphs()
        text = progress.sentence(session.history, session.state) if session.caught_up else "reading the log…"
        if self.zoomed is not None and len(session.history.steps):
            text = ""
        warning = progress.fresh_warning(session.history, time.time())
        state = session.state if session.caught_up else "loading"
        role = f"-{state}" if text else "-warning" if warning else "-settings"
        text = text or warning or self._settings()
        headline = self.query_one(Headline)
        for each in ("loading", "paused", "finished", "stopped", "failed", "crashed", "warning", "settings"):
            headline.set_class(role == f"-{each}", f"-{each}")
        content = Content(signs.plain(text))
        if headline.content != content:
            headline.update(content, layout=False)

    def _settings(self) -> str:
        steps = self.session.history.steps
        if not len(steps):
            return ""
        smoothing = f"smoothed {self.curves.smoothing:g}" if self.curves.smoothing else "not smoothed"
        words = (
            f"learning rate {numbers.setting(steps['lr'][-1])}",
            f"β {numbers.setting(steps['beta'][-1])}",
            f"train curves {smoothing}",
            "x in epochs" if self._axis.in_epochs else "x in steps",
        )
        return " · ".join(words)

    def action_log_scale(self) -> None:
        self.logarithmic = not self.logarithmic
        self.refresh_history()

    def action_x_axis(self) -> None:
        self.in_epochs = not self.in_epochs
        self.refresh_history()

    def action_smoothing(self) -> None:
        now = SMOOTHINGS.index(self.curves.smoothing)
        self.curves.smooth(SMOOTHINGS[(now + 1) % len(SMOOTHINGS)], self.session.history)
        self.refresh_history()

    def action_cursor(self, columns: int) -> None:
        """Move the cursor; the first time it appears at the newest step."""
        newest, column = float(self.session.history.step), self._axis.end / self._leading_chart.plot_width
        self.cursor = newest if self.cursor is None else min(newest, max(0.0, self.cursor + columns * column))
        self._show_charts()

    def action_next_panel(self, direction: int) -> None:
        """Choose another panel: the zoom goes with it, and reaches those that have no place here otherwise."""
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

    def action_back(self) -> None:
        if self.cursor is not None:
            self.cursor = None
            self._show_charts()
        else:
            self._zoom(None)

    def _zoom(self, panel: Widget | None) -> None:
        """Show one panel alone, or all of them again."""
        self.zoomed = panel
        self.set_class(panel is not None, "-zoom")
        for each in self.panels:
            each.set_class(each is panel, "-zoomed")
            if each.parent is not None and isinstance(each.parent, Widget):
                each.parent.set_class(panel is not None and panel.parent is each.parent, "-holds-zoomed")
        if panel is not None:
            self.screen.set_focus(panel)
        self.call_after_refresh(self.refresh_history)

    @on(ChartWidget.Pointed)
    def _pointed(self, message: ChartWidget.Pointed) -> None:
        message.stop()
        newest = float(self.session.history.step)
        self.cursor = None if message.place is None else min(newest, message.place * self._axis.end)
        self._show_charts()

    @on(ChartWidget.Chosen)
    def _chosen(self, message: ChartWidget.Chosen) -> None:
        message.stop()
        self._zoom(None if self.zoomed else message.chart)
