"""The app of one tab of the browser: a process of its own, which ends with its tab."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from aiohttp.web import WebSocketResponse
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from tui_vae.ui.terminal import BROWSER_DRIVER

END_SECONDS = 4.0
"""How long an app may take to end after it was told to, and again after SIGTERM: it sends changes that wait for `u`."""

TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "TEXTUAL_DRIVER": BROWSER_DRIVER}
"""What the app is told of its terminal, xterm.js, which has true colour and all characters wherever the server runs."""

OF_OUR_TERMINAL = ("TMUX", "STY", "COLORFGBG", "NO_COLOR")
"""What the server's own terminal says about itself, and not about the browser."""

FRAMES = "20"
"""Repaints a second at most (`TEXTUAL_FPS`, unless the user has set it): they may go through SSH. textual-serve: 60."""


class AppProcess(AppService):
    """What textual-serve starts for a websocket, without a shell, out of reach of the server's Ctrl-C."""

    def __init__(self, words: Sequence[str], tab: WebSocketResponse, downloads: DownloadManager) -> None:
        """`words`: the command and its arguments."""

        async def close() -> None:
            await tab.close()

        super().__init__("", write_bytes=tab.send_bytes, write_str=tab.send_str, close=close,
                         download_manager=downloads)  # fmt: skip
        self._words = words

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        given = {name: value for name, value in environment.items() if name not in OF_OUR_TERMINAL}
        return given | TERMINAL | {"TEXTUAL_FPS": os.environ.get("TEXTUAL_FPS", FRAMES)}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._words, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
            env=self._build_environment(width, height),
        )  # fmt: skip
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        """Pass on what the app sends, and close the websocket when it has ended, however it did."""
        await super().run()
        with suppress(ConnectionError, RuntimeError):  # the tab is gone
            await self.remote_close()

    async def stop(self) -> None:
        """Tell the app to end, and see that it does: it may hang, or write to a tab that reads nothing any more."""
        process = self._process
        if process is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(super().stop(), END_SECONDS)
        for end in (process.terminate, process.kill):
            try:
                await asyncio.wait_for(process.wait(), END_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    end()
            else:
                return
        await process.wait()
