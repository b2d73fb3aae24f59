"""The app: it opens runs, starts new ones, and leaves while training goes on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.events import Event
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import Theme

from tui_vae.config.user_file import unknown_names
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.log_loader import LogLoader
from tui_vae.ui import background, settings, terminal, theme
from tui_vae.ui.ascii_filter import AsciiOnly
from tui_vae.ui.commands import Command, KeysInContext, commands
from tui_vae.ui.images.canvas import Canvas
from tui_vae.ui.key_advice import with_keys
from tui_vae.ui.opening import RunOpener
from tui_vae.ui.session import RunSession
from tui_vae.ui.toasts import withdraw
from tui_vae.ui.workarounds import garbage_collection
from tui_vae.ui.workarounds.no_colour import NoColour
from tui_vae.ui.workarounds.no_width import wrap_to_one_column
from tui_vae.ui.workarounds.palette import KeysOnTheirWay, Palette
from tui_vae.ui.workarounds.style_sheets import read_style_sheet
from tui_vae.ui.workarounds.terminal_driver import style_saving

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tui_vae.ui.help import Help


HELP_AFTER = 3.0
"""Seconds after the first paint at which the help is prepared: by then the first pane is there."""

COMPLAINT_SECONDS = 15
"""Seconds for which a complaint about the user's settings stays: it names a file, a line and what to write there."""


def _palette_lines() -> type[Provider]:
    """What the palette offers; imported when it is first opened."""
    from tui_vae.ui.palette_lines import PaletteLines

    return PaletteLines


class TuiVae(RunOpener):
    """`run` returns the sentence to print once the app has left the screen."""

    TITLE = "tui-vae"
    COMMANDS = {_palette_lines}  # noqa: RUF012
    CSS_PATH = "app.tcss"
    AUTO_FOCUS = None
    NOTIFICATION_TIMEOUT = 6
    """Seconds, one more than Textual's own: an error has two sentences, what it is and what to do."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", id="app.help", tooltip="All keys that work here"),
        Binding("ctrl+p", "command_palette", "palette", id="app.palette", tooltip="Find any command by its name"),
        Binding("q", "leave", "leave", id="app.leave", tooltip="Leave; training goes on"),
        Binding(
            "ctrl+z",
            "suspend_process",
            "suspend",
            id="app.suspend",
            show=False,
            tooltip="Put the app into the background of the shell; fg brings it back",
        ),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        runs_dir: Path,
        run: RunDirectory | None = None,
        reading: LogLoader | None = None,
        warm: bool = False,
        look: str | None = None,
    ) -> None:
        """`run`: the one on screen first. `reading`: the reading of its log, if that has begun already.

        `warm`: whether a trainer waits warm while a run may be started. `look`: `dark` or `light`, or `auto`, whichever
        suits the terminal's background; None: as the user left it.
        """
        wrap_to_one_column()
        super().__init__(runs_dir, RunSession(run, reading) if run else None, warm, settings.read_preferences())
        self._has_unicode = terminal.has_unicode(os.environ)
        self._ascii_only = AsciiOnly()
        self._no_colour = NoColour(lambda: self.current_theme.background or "#000000")
        for each in theme.THEMES:
            self.register_theme(theme.for_terminal(each, self.console.color_system))
        left = self.preferences.theme if self.preferences.theme in self.available_themes else ""
        self._chosen_theme = left if look is None else theme.NAMED.get(look, "")
        """The name of the theme that the user wants; empty: the one that suits the background."""
        self._followed_theme = theme.suiting(
            background.told_by(os.environ) or self.preferences.background or theme.USUAL
        )
        """The name of the theme that the app has turned to by itself."""
        self.theme = self._chosen_theme or self._followed_theme
        renderer = self.renderer.with_toning(self.preferences.toning).on_ground(not self.current_theme.dark)
        self.set_reactive(TuiVae.renderer, renderer)
        self._keys_on_their_way = KeysOnTheirWay(self)
        self._keys, self._complaint = settings.read_keys()
        self.set_keymap(self._keys)

    def get_driver_class(self) -> type[Driver]:
        from tui_vae.ui.workarounds.terminal_end import restoring

        return style_saving(restoring(super().get_driver_class()))

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = [*super().get_line_filters()]
        if self.no_color:
            filters = self._no_colour.in_place_of_textuals(filters)
        return filters if self._has_unicode else [*filters, self._ascii_only]

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        if severity != "information":  # what went wrong, and what to do about it
            message = with_keys(message)
        message, title = terminal.legible(message), terminal.legible(title)
        withdraw(self, message, title)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.DEFAULT_VARIABLES

    def on_mount(self) -> None:
        self.ask_background()
        self.on_preferences_changed()
        self.set_class(not self._has_unicode, "-ascii")
        self.set_class(self.console.color_system == "standard", "-sixteen")
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.app_suspend_signal.subscribe(self, lambda _: self.notices.suspend())
        self.app_resume_signal.subscribe(self, lambda _: self.notices.resume())
        self.push_screen(self._run_screen(self.session) if self.session else self._start_screen())
        for complaint in dict.fromkeys((self._complaint, self.notices.complaint, unknown_names())):
            if complaint:
                self._complain(complaint)
        if self._keys:
            self.run_worker(self._check_keys())

    def on_ready(self) -> None:
        self.set_timer(HELP_AFTER, self._prepare_help)
        garbage_collection.resume_between_keys(self)

    async def _check_keys(self) -> None:
        """Give up keys that clash or bind nothing. It imports all of the app, and so runs behind the first paint."""
        from tui_vae.ui.user_keys import checked, known_commands

        good, complaints = checked(self._keys, await asyncio.to_thread(known_commands))
        if complaints:
            self.set_keymap(good)
            self._complain("\n".join(complaints))

    def _complain(self, text: str) -> None:
        self.notify(text, title="Your settings", severity="warning", timeout=COMPLAINT_SECONDS, markup=False)

    def on_preferences_changed(self) -> None:
        self._write_preferences()

    @work(exclusive=True, group="preferences")
    async def _write_preferences(self) -> None:
        await asyncio.to_thread(settings.write_preferences, msgspec.json.encode(self.preferences))

    def action_turn_toning(self) -> None:
        self.renderer = self.renderer.with_next_toning()
        self.preferences.toning = self.renderer.toning.value
        self.on_preferences_changed()
        shown = (each.example for each in self.screen.query(Canvas) if each.is_on_screen)
        if self.renderer.has_colours and any(picture is not None and not picture.is_grey for picture in shown):
            self.notify("Images in colour keep their colours; tones are of grey ones.", timeout=4)

    def ask_background(self) -> None:
        """Ask the terminal for its background, which the theme follows; `on_background_report` hears the answer."""
        if not self._chosen_theme and self._driver is not None and background.may_ask(os.environ):
            self._driver.write(background.ASK)

    def on_app_focus(self) -> None:
        self.ask_background()  # it may be another one now, as by a system that turns dark in the evening

    def on_background_report(self, message: background.BackgroundReport) -> None:
        told = "light" if message.light else "dark"
        if told != self.preferences.background:
            self.preferences.background = told
            self.on_preferences_changed()
        if not self._chosen_theme:
            self._followed_theme = self.theme = theme.suiting(told)

    def action_turn_theme(self) -> None:
        """Change from a dark theme to the light one, or from a light theme to the dark one."""
        self._followed_theme = ""
        self.theme = theme.suiting("light" if self.current_theme.dark else "dark")

    def action_follow_background(self) -> None:
        """Give up the theme that was chosen, for the one that suits the terminal's background."""
        self._chosen_theme = self.preferences.theme = ""
        self._followed_theme = self.theme = theme.suiting(self.preferences.background or theme.USUAL)
        self.ask_background()
        self.on_preferences_changed()

    def _theme_changed(self, theme: Theme) -> None:
        if theme.name not in (self._followed_theme, self._chosen_theme):
            self._chosen_theme = self.preferences.theme = theme.name
            self.on_preferences_changed()
        self.renderer = self.renderer.on_ground(not theme.dark)

    def action_copy(self, what: str) -> None:
        """Put the run's name, or the command that comes back to it, on the user's own clipboard (OSC 52)."""
        if self.session is not None:
            text = self.session.name if what == "name" else self._way_back(self.session)
            self.copy_to_clipboard(text)
            self.notify(f"Copied, if your terminal allows it: {text}", timeout=4, markup=False)

    def action_picture(self) -> None:
        """Save the screen as SVG, after the next repaint: the palette, from which this is called, is still on it."""
        self.call_after_refresh(self._save_picture)

    def _save_picture(self) -> None:
        name = self.session.name if self.session else "start"
        try:
            file = self.save_screenshot(f"tui-vae-{name}-{time.strftime('%Y%m%d-%H%M%S')}.svg", str(Path.cwd()))
        except OSError as error:
            self.notify(f"The picture cannot be written: {error}", severity="error", markup=False)
        else:
            self.notify(f"Written: {file}", markup=False)

    def _help(self) -> Help:
        """The help. It is made once and shown again."""
        from tui_vae.ui.help import Help

        if not self.is_screen_installed("help"):
            self.install_screen(Help(), "help")
        return self.get_screen("help", Help)

    def _prepare_help(self) -> None:
        """Read the help's style sheet, and parse all of them, while nobody waits for it."""
        for sheet in self._help().css_path:
            read_style_sheet(self.stylesheet, sheet)
        self.stylesheet.parse()

    def action_help(self) -> None:
        screen = self._help()
        if screen not in self.screen_stack:
            signs = self.screen.signs if isinstance(self.screen, KeysInContext) else ()
            active = self.screen.active_bindings.values()
            screen.show_commands(self.screen.title or self.TITLE, commands(self, active), signs)
            self.push_screen(screen)

    def exit(self, result: str | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self.notices.close()
        super().exit(result, return_code, message)

    async def action_leave(self) -> None:
        from tui_vae.ui.run_controls import RunControls

        for screen in self.screen_stack:
            if isinstance(screen, RunControls):
                await screen.changes_sent()
        self.exit(self._farewell())

    async def action_quit(self) -> None:
        await self.action_leave()

    def action_help_quit(self) -> None:
        self.notify("q leaves; training goes on.", timeout=3)

    def _farewell(self) -> str:
        session = self.session or self._left
        if session is None or not session.directory.is_training():
            return ""
        what = "is paused" if session.state == "paused" else "goes on"
        return f"training of {session.name} {what}; come back with: {self._way_back(session)}"

    def _way_back(self, session: RunSession) -> str:
        """The command that opens this run, typed in this directory."""
        return advice.of_run("attach", session.directory.path)

    async def on_event(self, event: Event) -> None:
        if not self._keys_on_their_way.redirect(event):
            await super().on_event(event)

    async def action_command_palette(self) -> None:  # type: ignore[override]  # actions may be coroutines
        if not isinstance(self.screen, Palette):
            palette = Palette()
            await self.push_screen(palette)  # keys that follow at once are for it, and wait for this
            palette.focus_input()

    def get_key_display(self, binding: Binding) -> str:
        return super().get_key_display(binding).replace("⏎", "enter")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        from tui_vae.ui.palette_lines import offered

        found = [each for each in commands(self, screen.active_bindings.values()) if each.action != "command_palette"]
        for title in dict.fromkeys(_group(command, screen) for command in found):
            for command in found:
                if _group(command, screen) == title:
                    act = partial(self.run_action, command.action, command.node)
                    yield offered(title, command.tooltip, " ".join(command.keys), act)
        if self.session is not None:
            name = partial(self.action_copy, "name")
            yield offered("copy", "Copy the name of the run", self.session.name, name)
            come_back = partial(self.action_copy, "")
            yield offered("copy", "Copy the command that comes back to the run", "", come_back)
        yield offered("screen", "Save a picture of the screen", "SVG", self.action_picture)
        other = "light" if self.current_theme.dark else "dark"
        yield offered("screen", f"Turn to the {other} theme", "", self.action_turn_theme)
        if self._chosen_theme:
            yield offered("screen", "Follow the terminal's background", "", self.action_follow_background)
        yield offered("screen", "Choose a theme: dark, light and others", "", self.action_change_theme)


def _group(command: Command, screen: Screen[object]) -> str:
    """The group of a command in the palette: the pane's, the run's, or the app's own."""
    if command.everywhere:
        return (command.binding.id or "").partition(".")[0]
    return screen.title or ""
