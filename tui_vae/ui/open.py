"""The door to the app: what must be settled before Textual is imported, and what is said after it has gone."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.ui import terminal


def run(runs_dir: Path, run: str | None = None, colour: str = "auto") -> int:
    """Open the app on a run, or on the start screen; the exit code. `colour` is what `--color` asked for.

    Raises:
        UserError: this terminal cannot show the app, or there is no such run.
    """
    refusal = terminal.why_not(os.environ, sys.stdin.isatty() and sys.stdout.isatty())
    if refusal is not None:
        raise UserError(*refusal)
    terminal.settle(os.environ, colour)
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the time to the first paint
    from tui_vae.runs.directory import find_run
    from tui_vae.runs.log_loader import load_if_long

    directory = find_run(runs_dir, run) if run else None
    reading = load_if_long(directory.events) if directory else None
    from tui_vae.ui.app import TuiVae  # 200 ms, in which a long log is read

    if not terminal.has_unicode(os.environ):
        from textual.scrollbar import ScrollBarRender

        ScrollBarRender.VERTICAL_BARS = ScrollBarRender.HORIZONTAL_BARS = [" "] * 8  # whole cells, coloured
    app = TuiVae(runs_dir, directory, reading)
    farewell = app.run()
    if farewell:
        print(farewell)
    return app.return_code or 0
