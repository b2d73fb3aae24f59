"""A run in the queue: its process waits, before it imports PyTorch, until another run trains no more."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tui_vae.runs import advice, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.trainer.server import Inbox, Ticket

LOOK_EVERY = 1.0
"""Seconds between two looks whether the other run still trains."""


def wait_for_turn(directory: RunDirectory, log: ev.EventLog, inbox: Inbox, before: Path) -> bool:
    """Wait until no process trains the run at `before`, however it ends, or until a request to go on. Whether to train.

    False: a request has taken the run out of the queue, and the log says so.

    Raises:
        UserError: the run is lost.
    """
    try:
        other = OpenRunDirectory(before)  # also if it is renamed meanwhile
    except (RunError, OSError):
        return True
    try:
        log.write(ev.StateEvent(state="queued", reason=f"begins when {other.name} has ended", after=other.name))
        while _trains(other):
            ticket = inbox.wait(LOOK_EVERY)
            if ticket is None:
                continue
            match ticket.request:
                case protocol.Stop():
                    log.write(ev.StateEvent(state="stopped", reason="taken out of the queue before it began"))
                    ticket.answer(_nothing_done(directory))
                    return False
                case protocol.Resume():
                    ticket.answer(_nothing_done(directory))
                    return True
                case _:
                    _refuse(directory, other, ticket)
        return True
    finally:
        other.close()


def _trains(other: OpenRunDirectory) -> bool:
    with suppress(OSError):
        return not other.is_gone() and other.is_training()
    return True  # its disk cannot be asked now


def _nothing_done(directory: RunDirectory) -> protocol.Done:
    config = directory.read_config()
    return protocol.Done(epoch=0, step=0, lr=config.lr, beta=config.beta)


def _refuse(directory: RunDirectory, other: RunDirectory, ticket: Ticket) -> None:
    now = advice.of_run("resume", directory.path)
    ticket.refuse(RunError(f"run {directory.name!r} begins when {other.name!r} has ended", f"begin it now: {now}"))
