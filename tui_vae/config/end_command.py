"""The command that a run names for its end (`--on-end`), which a shell runs: only if this user gave or allowed it.

A run may come from a stranger. So a command is trusted as the code of a model is (`own_code.py`): in the same record,
by the SHA-256 of its text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tui_vae.config.own_code import HINT, NotTrusted, allow_digest, is_allowed, record
from tui_vae.config.run_config import RunConfig

SHOWN = 120
"""Characters of a command that is not allowed which the error shows."""


def command_digest(command: str) -> str:
    """SHA-256, in hexadecimal digits, of a command and of what it is."""
    return hashlib.sha256(f"on-end\0{command}".encode()).hexdigest()


def check_end_command(config: RunConfig) -> str | None:
    """The digest of the configuration's command, which may run; None if there is none.

    Raises:
        NotTrusted: it may not run.
    """
    if config.on_end is None:
        return None
    digest = command_digest(config.on_end)
    if not is_allowed(digest):
        shown = config.on_end if len(config.on_end) <= SHOWN else f"{config.on_end[:SHOWN]}…"
        what = f"the run names a command for its end, {shown!r}, which you have neither given nor allowed"
        raise NotTrusted(what, HINT)
    return digest


def allow_end_command(config: RunConfig) -> None:
    """Allow the configuration's command in this process, and for good if it can be recorded."""
    if config.on_end is not None:
        digest = command_digest(config.on_end)
        allow_digest(digest)
        record(digest, {"file": "", "command": config.on_end})


def without_command(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration as others may see it: a command may hold a secret, such as the address of a webhook."""
    return {name: value for name, value in recorded.items() if name != "on-end"}
