"""Opening the app: prepares the terminal before Textual is imported, and prints the app's last sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.ui import terminal
from tui_vae.ui.workarounds import garbage_collection

FAILED = 1
"""Exit code of an app that an error has ended; a signal gives 128 + its number."""


def run(
    runs_dir: Path, run: str | None = None, colour: str = "auto", warm: bool = True, theme: str | None = None
) -> int:
    """Open the app on a run, or on the start screen, and return the exit code. `colour`: the value of `--color`.

    `warm`: whether a trainer may wait warm. `theme`: the value of `--theme`; None: as the user left it.

    Raises:
        UserError: this terminal cannot show the app, or there is no such run.
    """
    in_browser = terminal.is_in_browser(os.environ)
    refusal = terminal.why_unsuitable(os.environ, in_browser or (sys.stdin.isatty() and sys.stdout.isatty()))
    if refusal is not None:
        raise UserError(*refusal)
    terminal.prepare_environment(os.environ, colour)
    garbage_collection.pause()
    from tui_vae.runs.directory import find_run
    from tui_vae.runs.log_loader import load_if_long

    directory = find_run(runs_dir, run) if run else None
    reading = load_if_long(directory.events) if directory else None
    from tui_vae.ui.app import TuiVae  # takes 200 ms, in which a long log is read

    if not terminal.has_unicode(os.environ):
        from tui_vae.ui.workarounds.scrollbars import use_whole_cells

        use_whole_cells()
    app = TuiVae(runs_dir, directory, reading, warm, theme)
    farewell = app.run(mouse=terminal.may_report_mouse(os.environ))
    if farewell is None:  # the app did not leave: a signal, or an error, has ended it
        return app.return_code or FAILED
    if farewell and not in_browser:  # whose page has a sentence of its own
        print(farewell)
    return app.return_code or 0
