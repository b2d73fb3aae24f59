"""The terminal of a browser (`tui-vae serve`), and an end of the app when the server is gone.

Written for Textual 6.2 to 8.2. At the end of its input, Textual's driver for the web stops reading, and the app stays
for ever, deaf, with whatever it holds. It takes a piece of a write for the whole; and a write to a server that is gone
raises an error that the app ends with. Its parser is Textual's own, which `terminal_end.py` tells more about.

To see whether it is still needed: let `BROWSER_DRIVER` name Textual's own driver, and run `tests/cli/test_serve.py`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from textual.drivers import web_driver
from textual.drivers.web_driver import WebDriver

from tui_vae.ui.workarounds.terminal_end import prepare_input

prepare_input(web_driver)


class BrowserDriver(WebDriver):
    """Textual's driver for the web, whose app ends with its server."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._write = self._write_all  # type: ignore[assignment]

    def run_input_thread(self) -> None:
        """Read what the browser sends; when it sends no more, end the app."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            with suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._app.exit)

    def _write_all(self, data: bytes) -> int:
        rest = memoryview(data)
        with suppress(BrokenPipeError):  # the server is gone; the end of the input ends the app
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)
