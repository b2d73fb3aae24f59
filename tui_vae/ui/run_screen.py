"""The screen of one run: its status, its panes behind tabs, and the keys that steer it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.theme import Theme
from textual.types import CSSPathType
from textual.widgets import Static

from tui_vae.runs.best_figure import best_by
from tui_vae.ui import run_progress
from tui_vae.ui.header_figure import HeaderFigure, explained
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.messages import HistoryChanged, LookInLatent, PreferencesChanged, RunRefused
from tui_vae.ui.notices import RunNotices, TerminalNotices
from tui_vae.ui.pane import Pane
from tui_vae.ui.run_controls import RunControls
from tui_vae.ui.session import RunSession, Unresumable
from tui_vae.ui.settings import Preferences
from tui_vae.ui.status_line import StatusLine
from tui_vae.ui.workarounds.style_sheets import read_style_sheet

BELOW_SECONDS = 2.0
"""Seconds between two drawings of a screen that has a dialog or the help in front of it."""

FIRST_PANE_AFTER = 0.02
"""Seconds after which the first pane is made, so that the frame around it is painted before."""

CRASH_SECONDS = 30
"""Seconds for which the last words of a trainer that has died stay on the screen: they may be several lines."""


def train_pane(session: RunSession, preferences: Preferences) -> Pane:
    """Make the Train pane; its module is imported now."""
    from tui_vae.ui.train.pane import TrainPane

    return TrainPane(session, preferences)


def browse_pane(session: RunSession, preferences: Preferences) -> Pane:
    """Make the Browse pane; its module is imported now."""
    from tui_vae.ui.browse.pane import BrowsePane

    return BrowsePane(session, preferences)


def latent_pane(session: RunSession, preferences: Preferences) -> Pane:
    """Make the Latent pane; its module is imported now."""
    from tui_vae.ui.latent.pane import LatentPane

    return LatentPane(session, preferences)


def runs_pane(session: RunSession, preferences: Preferences) -> Pane:
    """Make the Runs pane; its module is imported now."""
    from tui_vae.ui.runs.pane import RunsPane

    return RunsPane(session, preferences)


@dataclass(frozen=True)
class PaneEntry:
    """One tab; a new pane is a new entry. A pane's module is imported when the pane is first shown."""

    key: str
    title: str
    make: Callable[[RunSession, Preferences], Pane]
    tooltip: str

    @property
    def id(self) -> str:
        return self.title.lower()


PANES = (
    PaneEntry("1", "Train", train_pane, "Curves, epochs and previews of the run"),
    PaneEntry("2", "Browse", browse_pane, "Test images beside their reconstructions"),
    PaneEntry("3", "Latent", latent_pane, "The latent space: plane, traversals, interpolation, samples, KL"),
    PaneEntry("4", "Runs", runs_pane, "All runs side by side"),
)


class PaneTab(Static):
    """A tab, which a click chooses. The keys belong to the screen."""

    ALLOW_SELECT = False

    @dataclass
    class Chosen(Message):
        pane: str

    def __init__(self, entry: PaneEntry) -> None:
        super().__init__(f"{entry.key} {entry.title}", id=f"tab-{entry.id}", markup=False)
        self.entry = entry

    def on_click(self) -> None:
        self.post_message(self.Chosen(self.entry.id))


class RunScreen(RunControls):
    """Shows one run and steers it."""

    CSS_PATH: ClassVar[CSSPathType | None] = "run_screen.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(entry.key, f"show_pane('{entry.id}')", entry.title, id=f"pane.{entry.id}", tooltip=entry.tooltip,
                    show=False)
            for entry in PANES
        ),
        Binding("0", "app.start_screen", "start", id="pane.start", show=False,
                tooltip="Back to the start screen; training goes on"),
    ]  # fmt: skip

    def __init__(
        self,
        session: RunSession,
        preferences: Preferences,
        terminal: TerminalNotices,
        start: bool = False,
        pane: str = "",
    ) -> None:
        """`start`: start training as soon as the screen is there. `pane`: the first one; empty: the one seen last."""
        super().__init__(session)
        self._notices = RunNotices(session, terminal)
        self.preferences = preferences
        self._start = start
        self._crash_notified = False
        self._state_of_bindings = "", False, Unresumable()
        self._theme = ""
        self._outdated = False
        """Whether the history has changed since it was last drawn."""
        self._drawn_at = 0.0
        """When it was last drawn, by the monotonic clock."""
        self._waiting = False
        """Whether a timer will draw it."""
        self._requested = pane
        """The id of the pane that was requested last; it may still be in the making."""

    def compose(self) -> ComposeResult:
        yield StatusLine(self.session)
        with Horizontal(id="tabs"):
            for entry in PANES:
                yield PaneTab(entry)
            yield HeaderFigure(self.session)
        yield Vertical(id="panes")
        yield KeyBar()

    def on_mount(self) -> None:
        self.set_timer(FIRST_PANE_AFTER, self._show_first_pane)
        if self._start:
            self._steer(self.steering.start())
        self._theme = self.app.theme
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)
        self.run_worker(self.session.follow(self._changed), name="follow")

    def on_unmount(self) -> None:
        self.app.remove_class("-notes-below")
        self.session.close()

    def on_screen_resume(self) -> None:
        self._theme_changed()  # it may have changed in a screen above this one
        if self._outdated:
            self.call_after_refresh(self.on_history_changed)  # so that what was there before is painted at once

    def _theme_changed(self, theme: Theme | None = None) -> None:
        if self.app.theme != self._theme and self.is_current:
            self._theme = self.app.theme
            self.call_after_refresh(self._restyle)

    def _restyle(self) -> None:
        """Let widgets that keep styles fetch them again: Textual notifies them before their parts have new ones."""
        for widget in self.query("*"):
            widget.notify_style_update()
        self.on_history_changed()

    def _changed(self) -> None:
        self.post_message(HistoryChanged())

    @property
    def pane(self) -> Pane | None:
        """The pane on screen."""
        return next((pane for pane in self.query_one("#panes").query_children(Pane) if pane.display), None)

    @property
    def signs(self) -> tuple[tuple[str, str], ...]:
        run = self.session.history.run
        return (*(self.pane.signs if self.pane else ()), ("bits/px", explained(best_by(run.config if run else {}))))

    @on(PaneTab.Chosen)
    async def _tab_clicked(self, message: PaneTab.Chosen) -> None:
        await self.action_show_pane(message.pane)

    async def _show_first_pane(self) -> None:
        last = self.preferences.pane
        first = last if not self._start and last in (entry.id for entry in PANES) else PANES[0].id
        await self.action_show_pane(self._requested or first)

    async def action_show_pane(self, pane_id: str) -> None:
        self._requested = pane_id
        panes = self.query_one("#panes")
        for tab in self.query(PaneTab):
            tab.set_class(tab.entry.id == pane_id, "-active")
        for pane in panes.children:
            pane.display = pane.id == pane_id
        entry = next(entry for entry in PANES if entry.id == pane_id)
        self.set_reactive(Screen.title, entry.title)  # for the help; assigning it would repaint the whole screen
        if not panes.query(f"#{pane_id}"):
            pane = entry.make(self.session, self.preferences)
            read_style_sheet(self.app.stylesheet, pane.style_sheet())
            pane.id = pane_id
            await panes.mount(pane)
            if self._requested != pane_id:  # another pane has been requested meanwhile
                pane.display = False
                return
        if self.preferences.pane != pane_id:
            self.preferences.pane = pane_id
            self.post_message(PreferencesChanged())
        self._focus_pane()
        self._refresh_pane()
        self._place_notes()

    @on(Pane.NotesMoved)
    def _place_notes(self) -> None:  # of the app: a dialog above this screen shows toasts too
        self.app.set_class(self.pane is not None and self.pane.notes_below, "-notes-below")

    @on(LookInLatent)
    async def _look_in_latent(self, message: LookInLatent) -> None:
        await self.action_show_pane("latent")
        from tui_vae.ui.latent.actions import LatentActions

        if isinstance(pane := self.pane, LatentActions):
            pane.look_at(message)

    async def action_rate_plane(self) -> None:
        """Show the run in the plane of rate and distortion."""
        await self.action_show_pane("runs")
        from tui_vae.ui.runs.pane import RunsPane

        if isinstance(pane := self.pane, RunsPane):
            pane.show_plane(self.session.directory.path)

    def action_export_figure(self) -> None:
        from tui_vae.ui.export import ask_and_write

        figure = self.pane.figure() if self.pane is not None else None
        if figure is None:
            self.notify("There is no figure here: choose a chart, the plane, the bars or a comparison.", timeout=4)
        else:
            ask_and_write(self, self.session.name, figure)

    def _focus_pane(self) -> None:
        self.set_focus(self.pane.focus_target if self.pane else None, scroll_visible=False)

    @property
    def is_current(self) -> bool:
        """Whether anybody can see the screen. Textual also counts one that the help hides."""
        return super().is_current and (self.app.screen is self or self.app.screen.is_modal)

    def _rests_below(self) -> bool:
        """Whether a screen is in front of this one, which is drawn whole with each change of this one, and this one has
        been drawn a moment ago. It will be drawn once that is over."""
        rest = self._drawn_at + BELOW_SECONDS - time.monotonic()
        if self.app.screen is self or rest <= 0:
            return False
        if not self._waiting:
            self._waiting = True
            self.set_timer(rest, self._rested)
        return True

    def _rested(self) -> None:
        self._waiting = False
        self.on_history_changed()

    def on_history_changed(self) -> None:
        self._outdated = not self.is_current or self._rests_below()
        if not self._outdated:
            self._drawn_at = time.monotonic()
            self.query_one(StatusLine).refresh_history()
            self.query_one(HeaderFigure).refresh_history()
            if self.pane is not None:
                self.pane.history_changed()
        state = self.session.state
        of_bindings = state, self.session.alive, self.session.unresumable
        if of_bindings != self._state_of_bindings:
            self._state_of_bindings = of_bindings
            self.refresh_bindings()
        refusal = self.session.history.refusal
        if self._start and refusal is not None and not self.session.alive:
            self._start = False
            why = f"{refusal.message}; {refusal.hint}" if refusal.hint else refusal.message
            self.post_message(RunRefused(self.session.directory, why))
        self._notices.update(ended_here=self.steering.ended)
        crashed = state == "crashed"
        if crashed and not self._crash_notified and not self.steering.killed:
            way_out = f"{run_progress.again(self.session.history, self.session.unresumable.brief)}."
            output = self.session.log_tail()
            self.notify(
                f"{output}\n\n{way_out}" if output else way_out,
                title=f"The trainer of {self.session.name} has died",
                severity="error",
                timeout=CRASH_SECONDS,
                markup=False,
            )
        self._crash_notified = crashed

    def _refresh_pane(self) -> None:
        if self.pane is not None:
            self.pane.refresh_history()
