"""The app: opens runs, starts new ones, and leaves while training goes on."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen

from tui_vae.config import RunConfig
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory, create_run, runs_directory
from tui_vae.ui import terminal, theme
from tui_vae.ui.commands import commands
from tui_vae.ui.images import Canvas, Depth, Pen
from tui_vae.ui.messages import OpenRun, StartRun
from tui_vae.ui.session import RunSession


class TuiVae(App[str]):
    """Returns what is to be said on the normal screen after it has gone."""

    TITLE = "tui-vae"
    CSS_PATH = "app.tcss"
    AUTO_FOCUS = None
    NOTIFICATION_TIMEOUT = 6
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", id="app.help", tooltip="All keys that work here"),
        Binding("ctrl+p", "command_palette", "palette", id="app.palette", tooltip="Find any command by its name"),
        Binding("q", "leave", "leave", id="app.leave", tooltip="Leave; training goes on"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall")]  # noqa: RUF012

    pen: reactive[Pen] = reactive(Pen(Depth.CHARACTERS), init=False)

    def __init__(self, runs_dir: Path, run: RunDirectory | None = None) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self._first_run = run
        for each in theme.THEMES:
            self.register_theme(each)
        self.theme = theme.DARK.name
        self.set_reactive(TuiVae.pen, Pen.for_terminal(self))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.DEFAULT_VARIABLES

    def on_mount(self) -> None:
        self.set_class(not terminal.has_unicode(os.environ), "-ascii")
        self.push_screen(self._run_screen(self._first_run) if self._first_run else self._start_screen())

    def watch_pen(self) -> None:
        for canvas in self.screen.query(Canvas):
            canvas.redraw()

    def _start_screen(self) -> Screen[None]:
        from tui_vae.ui.start_screen import StartScreen

        return StartScreen(self.runs_dir)

    @staticmethod
    def _run_screen(directory: RunDirectory, start: bool = False) -> Screen[None]:
        from tui_vae.ui.run_screen import RunScreen

        return RunScreen(RunSession(directory), start=start)

    @property
    def session(self) -> RunSession | None:
        """The run on screen."""
        return next((s.session for s in reversed(self.screen_stack) if hasattr(s, "session")), None)

    async def on_open_run(self, message: OpenRun) -> None:
        await self.switch_screen(self._run_screen(message.run))

    async def on_start_run(self, message: StartRun) -> None:
        try:
            directory, _ = await asyncio.to_thread(create_run, self.runs_dir, message.config)
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)
        else:
            await self.switch_screen(self._run_screen(directory, start=True))

    def action_new_run(self) -> None:
        from tui_vae.ui.new_run import NewRun

        self.push_screen(NewRun(), self._described)

    def _described(self, config: RunConfig | None) -> None:
        if config is not None:
            self.post_message(StartRun(config))

    def action_turn_pen(self) -> None:
        self.pen = self.pen.turned()

    def action_help(self) -> None:
        from tui_vae.ui.dialogs import Help

        title = getattr(self.screen, "help_title", self.TITLE)
        self.push_screen(Help(title, commands(self, self.screen.active_bindings.values())))

    def action_leave(self) -> None:
        self.exit(self._farewell())

    async def action_quit(self) -> None:
        self.action_leave()

    def action_help_quit(self) -> None:
        self.notify("q leaves; training goes on.", timeout=3)

    def _farewell(self) -> str:
        session = self.session
        if session is None or not session.alive:
            return ""
        what = "is paused" if session.state == "paused" else "goes on"
        words = ["tui-vae", "attach", session.name]
        if self.runs_dir != runs_directory():
            words += ["--runs-dir", str(self.runs_dir)]
        return f"training of {session.name} {what}; come back with: {shlex.join(words)}"

    def get_key_display(self, binding: Binding) -> str:
        return super().get_key_display(binding).replace("⏎", "enter")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for command in commands(self, screen.active_bindings.values()):
            if command.action != "command_palette":
                act = partial(self.run_action, command.action, command.node)
                yield SystemCommand(command.tooltip, f"key {' or '.join(command.keys)}", act)
        yield SystemCommand("Change the theme", "dark, light and others", self.action_change_theme)
