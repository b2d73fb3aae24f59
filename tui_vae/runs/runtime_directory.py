"""The private directory of this user in which sockets lie."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tui_vae.config.state_directory import state_directory
from tui_vae.errors import UserError

SOCKET_PATH_LIMIT = 104
"""Bytes of a socket's path: sun_path holds 108 on Linux and 104 on macOS."""

SOCKET_NAME_LENGTH = 26
"""Bytes of a slash, 20 hexadecimal digits and `.sock`."""


def runtime_directory() -> Path:
    """A directory for sockets that only this user can enter: in the user's runtime directory, else a temporary one.

    What belongs to somebody else is passed over: under `su` the runtime directory is another user's, and whoever is
    quicker can make a directory of any name under /tmp.

    Raises:
        UserError: none can be made.
    """
    for path in _candidates():
        if len(os.fsencode(path)) + SOCKET_NAME_LENGTH <= SOCKET_PATH_LIMIT and _is_private(path):
            return path
    raise UserError("no directory for the trainer's socket can be made", "set XDG_RUNTIME_DIR to a private, short one")


def _candidates() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _owner(Path(runtime)) == os.geteuid():
        yield Path(runtime) / "tui-vae"
    import tempfile

    for folder in (tempfile.gettempdir(), "/tmp"):  # noqa: S108  # a private directory is made and checked there
        yield Path(folder) / f"tui-vae-{os.geteuid()}"
    with suppress(OSError, RuntimeError):  # a user without a home
        state = state_directory()
        state.mkdir(parents=True, exist_ok=True)
        yield state / "run"


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _is_private(path: Path) -> bool:
    """Whether a directory, which is made where it is missing, is this user's alone."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            return False
        if stat.S_IMODE(facts.st_mode) & 0o077:
            path.chmod(0o700)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)
