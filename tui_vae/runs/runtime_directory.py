"""The private directory of this user in which sockets lie."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from tui_vae.errors import UserError

SOCKET_PATH_LIMIT = 104
"""Bytes of a socket's path: sun_path holds 108 on Linux and 104 on macOS."""

SOCKET_NAME_LENGTH = 26
"""Bytes of a slash, 20 hexadecimal digits and `.sock`."""


def runtime_directory() -> Path:
    """A directory for sockets that only this user can enter: the user's runtime directory, else a temporary one.

    Raises:
        UserError: the directory belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [Path(runtime) / "tui-vae"] if runtime and os.path.isdir(runtime) else []
    candidates.append(Path(tempfile.gettempdir()) / f"tui-vae-{os.getuid()}")
    candidates.append(Path("/tmp") / f"tui-vae-{os.getuid()}")
    for path in candidates:
        if len(os.fsencode(path)) + SOCKET_NAME_LENGTH > SOCKET_PATH_LIMIT:
            continue
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise UserError(f"{path} is not a directory of yours", "remove it, or set XDG_RUNTIME_DIR to a private one")
        if stat.S_IMODE(facts.st_mode) & 0o077:
            path.chmod(0o700)
        return path
    raise UserError("no directory for the trainer's socket can be made", "set XDG_RUNTIME_DIR to a private, short one")
