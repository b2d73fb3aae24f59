"""Why a run failed, as its log says."""

from __future__ import annotations

from contextlib import suppress

from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.create import clear_failed
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History
from tui_vae.runs.launch import StartError


def last_error(directory: RunDirectory, history: History) -> UserError:
    """The newest error in the log of a run that failed."""
    for message in reversed(history.messages):
        if isinstance(message, ev.ErrorEvent):
            return StartError(message.message, message.hint)
    return StartError(f"run {directory.name!r} failed", f"see {directory.log}")


def refusal(directory: RunDirectory, history: History) -> UserError:
    """`last_error`. Nothing is left of a run that was refused before it began."""
    if history.refusal is not None:
        with suppress(UserError, OSError):
            clear_failed(RunDirectory(directory.path))
    return last_error(directory, history)
