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

from tui_vae.ui import numbers, run_progress
from tui_vae.ui.charts import raster, x_axis
from tui_vae.ui.charts.widget import ChartWidget
from tui_vae.ui.charts.x_axis import UNITS
from tui_vae.ui.fitting import SEPARATOR, parts_that_fit
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.messages import PreferencesChanged
from tui_vae.ui.newest_worker import run_newest
from tui_vae.ui.train.arrangement import ARRANGEMENTS, arrangement, place_images
from tui_vae.ui.train.chart_grid import ChartGrid
from tui_vae.ui.train.chart_pane import ChartPane
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.keys import BINDINGS
from tui_vae.ui.train.log_pane import LogPane
from tui_vae.ui.train.preview_strip import PreviewStrip
from tui_vae.ui.train.run_curves import SPANS

BARS = Size(0, 3)
"""Rows of the screen that the status line, the tabs and the key bar take."""

ANSWER_SECONDS = 5.0
"""Seconds that the settings stand in the headline after a key has changed one of them."""

MOST_STEPS = 50_000
"""Steps that are read in one go: keys are answered between two goes, while the curves of a long run are made."""

FIGURES_SECONDS = 1.0
"""Seconds between two drawings that only new figures cause: curves look no smoother with more, and drawing them is most
of what watching costs the machine."""

WHOLE = ("failed", "crashed", "paused")
"""The states whose sentence takes as many lines as it needs: it says why, and what to do."""


class Headline(Static):
    """One line about the run's state, or about the settings of the charts."""


class TrainPane(ChartPane):
    """Draws the session's history whenever it has changed."""

    BINDINGS: ClassVar[list[BindingType]] = BINDINGS
    STYLE_SHEET = "train.tcss"

    def compose(self) -> ComposeResult:
        yield Headline()
        yield ChartGrid(self.views[0].measures, *self.shape)
        with Container(id="looks"):
            yield PreviewStrip(self.session, self.preferences, id="previews")
            yield EpochTable(id="epochs")

    @property
    def panels(self) -> list[Widget]:
        """All that the zoom can reach, in the order of the key."""
        return [*self.query_one(ChartGrid).charts, self.query_one(PreviewStrip), self.query_one(EpochTable)]

    def begin(self) -> None:
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
        if self.wanted_shape(self.app.size.height) != self.shape:
            run_newest(self, self.remake_charts, "charts")
        self.call_after_refresh(self.refresh_history)

    def _arrange(self, size: Size) -> None:
        chosen = arrangement(size.width, size.height)
        for each in ARRANGEMENTS:
            self.set_class(each == chosen, f"-{each}")
        images = self.query_one(PreviewStrip)
        place_images(self, images, chosen, size, alone=self.zoomed is images)

    def on_show(self) -> None:
        self.call_after_refresh(self.refresh_history)

    @property
    def _situation(self) -> tuple[object, ...]:
        """What is shown at once when it changes, unlike new figures of a run in training."""
        return self.session.history, self.session.state, self.session.caught_up

    def history_changed(self) -> None:
        """Show it, new figures alone once in `FIGURES_SECONDS`: drawing charts is most of what watching costs."""
        rest = self._drawn_at + FIGURES_SECONDS - time.monotonic()
        if rest <= 0 or self._situation != self._drawn_as or self.session.state != "training":
            self.refresh_history()
        elif not self._waiting:
            self._waiting = True
            self.set_timer(rest, self._waited)

    def _waited(self) -> None:
        self._waiting = False
        if self.watched:
            self.history_changed()

    def refresh_history(self) -> None:
        """Show what the history tells now. Only cells that have changed are sent to the terminal."""
        if not self._ready or not self.is_attached or not self.size or not self.query(ChartWidget):
            return
        history = self.session.history
        if self.session.partial and history is self._drawn:  # the two ends of a long log, while the rest is read
            self._show_headline()
            return
        self._drawn, self._drawn_as, self._drawn_at = history, self._situation, time.monotonic()
        if not self.curves.read(history, MOST_STEPS):
            self.call_later(self.refresh_history)
            return
        if any(measure.dimension is not None for measure in self.curves.measures):
            run_newest(self, self._read_details, "details")
        self._measure()
        self._show_headline()
        if self.has_class("-log"):
            self.query_one(LogPane).refresh_history()
            return
        self._show_charts()
        best = history.best
        self.query_one(EpochTable).show(history.epochs, best.epoch if best else 0, self._waiting_for("epoch"))
        self.query_one(PreviewStrip).refresh_history()

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
        settings, sentence = self._settings(), run_progress.sentence(history, state, self.session.unresumable.brief)
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
        self._arrange(self.size)
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
