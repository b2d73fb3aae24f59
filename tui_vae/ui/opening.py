"""Opening runs, starting new ones and queuing them: the part of the app that changes what is on the screen."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from textual.screen import Screen
from textual.worker import Worker

from tui_vae.config import RunConfig
from tui_vae.config.data_options import is_own
from tui_vae.errors import UserError
from tui_vae.runs import launch
from tui_vae.runs.create import clear_failed, create_run
from tui_vae.runs.data_check import check_data
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.images.canvas import ImageApp
from tui_vae.ui.keep_warm import WarmKeeper
from tui_vae.ui.messages import OpenRun, PreferencesChanged, RunMayStart, RunRefused, StartRun
from tui_vae.ui.notices import TerminalNotices
from tui_vae.ui.notify_outcome import notify_outcome
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences

PROGRESS_SECONDS = 3.0
"""Seconds between two notices of how far the data of a run have been read: one is gone when the next one comes."""


class RunOpener(ImageApp[str]):
    """`TuiVae` adds the rest of the app."""

    def __init__(self, runs_dir: Path, session: RunSession | None, warm: bool, preferences: Preferences) -> None:
        """`session`: of the run on screen first. `warm`: whether a trainer waits warm while a run may be started."""
        super().__init__()
        self.runs_dir = runs_dir
        self.session = session
        """The run on screen."""
        self._switching = asyncio.Lock()
        """Held while a screen takes the place of another: one that has to go while it is being made would fail."""
        self._left: RunSession | None = None
        """The run that was on screen before the start screen."""
        self._warm_keeper = WarmKeeper(self, warm)
        self.keeps_warm = warm
        """Whether processes may start before the user has said what to train."""
        self._starting: Worker[None] | None = None
        """The newest run that is being started."""
        self._asked_for = RunConfig()
        """What the newest run that was started from here was asked for."""
        self.preferences = preferences
        self._last_seen = preferences.seen
        self.notices = TerminalNotices(self._write_to_terminal, os.environ)

    def _write_to_terminal(self, sequence: str) -> None:
        """Send what is no part of the picture."""
        if self._driver is not None:
            self._driver.write(sequence)

    def _start_screen(self) -> Screen[None]:
        from tui_vae.ui.start_screen import StartScreen

        self.notices.title("tui-vae")
        return StartScreen(self.runs_dir, self._last_seen)

    async def action_start_screen(self) -> None:
        """Go back to the start screen; whatever trains goes on."""
        async with self._switching:
            self._left, self.session = self.session or self._left, None
            await self.switch_screen(self._start_screen())

    def _run_screen(self, session: RunSession, start: bool = False, pane: str = "") -> Screen[None]:
        from tui_vae.ui.run_screen import RunScreen

        return RunScreen(session, self.preferences, self.notices, start, pane)

    async def _show_run(self, run: RunDirectory, pane: str = "") -> None:
        async with self._switching:
            session = await asyncio.to_thread(RunSession, run)  # it looks at files
            self.session = session
            await self.switch_screen(self._run_screen(session, pane=pane))

    async def _show_start(self, run: RunDirectory, seen: Screen[Any]) -> None:
        """Train a new run, and show it, unless the user looks at something else than the screen `seen` by then."""
        async with self._switching:
            warm = await self._warm_keeper.take() if self.screen is seen else None
            session = await asyncio.to_thread(RunSession, run, None, warm)
            await session.begin_training()  # it gets ready while the screen is made, which takes longer
            if self.screen is seen:
                self.session = session
                await self.switch_screen(self._run_screen(session, start=True))
                return
        await notify_outcome(self.screen, self._start_unseen(session))

    def on_run_may_start(self, message: RunMayStart) -> None:
        self._warm_keeper.count(message.here)

    async def on_open_run(self, message: OpenRun) -> None:
        why = await asyncio.to_thread(message.run.why_unreadable)
        if why:
            said = f"{message.run.name} cannot be read: {why}"
            self.notify(said, severity="error", markup=False)
        else:
            await self._show_run(message.run, pane=message.pane)

    def on_saw_news(self) -> None:
        self.preferences.seen = time.time()
        self.post_message(PreferencesChanged())

    def on_start_run(self, message: StartRun) -> None:
        """Start a run behind the screen, which goes on answering keys: reading the data may take minutes."""
        if self._starting is not None and not self._starting.is_finished:
            self.notify("Another run is being started; it goes first.", severity="warning")
        else:
            self._starting = self.run_worker(self._start_run(message), group="start")

    async def _start_run(self, message: StartRun) -> None:
        self._asked_for, screen = message.config, self.screen
        try:
            if is_own(message.config.dataset, message.config.data_dir):
                await self._check_data(message.config)
        except UserError as error:
            self._ask_again(str(error))
            return
        try:
            directory, _ = await asyncio.to_thread(create_run, self.runs_dir, message.config)
            if message.after is not None:
                await self._queue(directory, message.after)
                return
        except UserError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        await self._show_start(directory, screen)

    @staticmethod
    async def _start_unseen(session: RunSession) -> str:
        try:
            await session.train()
        finally:
            session.close()
        return f"{session.name} has begun to train."

    async def _check_data(self, config: RunConfig) -> None:
        """See whether the data can be used, and say from time to time how far that is.

        Raises:
            UserError: they cannot.
        """
        told = ["reading the data …"]
        began: list[subprocess.Popen[bytes]] = []
        reading = asyncio.to_thread(check_data, config, progress=told.append, began=began.append)
        checking = asyncio.create_task(reading)
        try:
            while not checking.done():
                self.notify(told[-1][:1].upper() + told[-1][1:], timeout=PROGRESS_SECONDS, markup=False)
                await asyncio.wait({checking}, timeout=PROGRESS_SECONDS)
            await checking
        finally:
            checking.cancel()
            for process in began:  # where the user has left the app
                process.kill()

    async def on_run_refused(self, message: RunRefused) -> None:
        """Leave nothing of a run that the trainer has refused, and go back to what was asked for."""
        with suppress(UserError, OSError):
            await asyncio.to_thread(clear_failed, message.run)
        async with self._switching:
            self.session = None
            await self.switch_screen(self._start_screen())
        self._ask_again(message.why)

    def _ask_again(self, why: str) -> None:
        """Show the form once more as it was filled in, and say why that will not do."""
        from tui_vae.ui.new_run.screen import NewRun

        self.notify(why, severity="error", markup=False)
        self.push_screen(NewRun(self.runs_dir, self._asked_for, again=True), self._described)

    async def _queue(self, run: RunDirectory, after: RunDirectory) -> None:
        """Have a run trained next.

        Raises:
            UserError: its process cannot be started.
        """
        await asyncio.to_thread(launch.start_training, run, leave_core=True, after=after)
        self.notify(f"{run.name} is queued: it begins when {after.name} has ended.", markup=False)
        if self.session is None:
            await self._show_run(run)

    def action_new_run(self) -> None:
        from tui_vae.ui.new_run.screen import NewRun

        self.push_screen(NewRun(self.runs_dir), self._described)

    def _described(self, wanted: StartRun | None) -> None:
        if wanted is not None:
            self.post_message(wanted)
