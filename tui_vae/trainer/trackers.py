"""Starts the process that hands a run's figures to trackers (`tui_vae/trackers/`), and says so where it fails."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

from tui_vae.config.trackers import check_installed
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory


def start_trackers(directory: RunDirectory, names: str, offset: int) -> None:
    """Have trackers told what the log says from `offset` on. What fails here is a warning in the log, and no more.

    names: the run's option `log`.
    """
    try:
        check_installed(names)
        process = subprocess.Popen(  # noqa: S603  # this Python, our module; no shell reads the path
            [sys.executable, "-P", "-m", "tui_vae.trackers", str(directory.path), names, str(offset)],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (UserError, OSError) as error:
        hint = error.hint if isinstance(error, UserError) else "training goes on without"
        _warn(directory, f"nothing is logged for {names}: {getattr(error, 'message', error)}", hint)
        return
    threading.Thread(target=_wait, args=(directory, names, process), daemon=True).start()


def _wait(directory: RunDirectory, names: str, process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        _warn(directory, f"logging for {names} has failed; training goes on", f"see {directory.log}")


def _warn(directory: RunDirectory, message: str, hint: str) -> None:
    with suppress(OSError):  # a log of its own: this may be another thread than that which trains
        log = ev.EventLog(directory.files.events)
        log.write(ev.WarningEvent(message=message, hint=hint))
        log.close()
