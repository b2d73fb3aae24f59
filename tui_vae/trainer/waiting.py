"""What a trainer says of the time when it waits until a checkpoint can be written."""

from __future__ import annotations

import os

from tui_vae.errors import UserError
from tui_vae.runs import protocol


def what_then(wanted: protocol.AnyRequest | None) -> str:
    """What happens once a checkpoint can be written. `wanted`: the stop or pause that came meanwhile."""
    match wanted:
        case protocol.Stop():
            lost = "what it has learnt since its last checkpoint"
            return f"it stops then; to give up {lost}: kill -9 {os.getpid()}"
        case protocol.Pause():
            return "it stays paused then"
    return "it goes on by itself then"


def refused(
    request: protocol.AnyRequest, wanted: protocol.AnyRequest | None, error: UserError
) -> tuple[protocol.AnyRequest | None, UserError]:
    """What to answer to a request that needs a checkpoint, while none can be written because of `error`, and what is
    wanted from then on: a stop, a pause and that it goes on are remembered.
    """
    match request:
        case protocol.Stop() | protocol.Pause():
            wanted = request
        case protocol.Resume(epochs=0):
            wanted = None
        case _:
            return wanted, UserError(error.message, f"{error.hint}; then try again")
    return wanted, UserError(error.message, f"{error.hint}; {what_then(wanted)}")
