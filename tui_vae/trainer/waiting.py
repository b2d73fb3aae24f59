"""What a trainer says of the time when it waits until a checkpoint can be written."""

from __future__ import annotations

import os

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
