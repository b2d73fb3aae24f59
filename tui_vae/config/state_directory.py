"""Where this program keeps what it remembers of its user: the code that may run, habits."""

from __future__ import annotations

import os
from pathlib import Path


def state_directory() -> Path:
    """The folder `TUI_VAE_STATE`, else the user's state directory."""
    given = os.environ.get("TUI_VAE_STATE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_state_path

    return user_state_path("tui-vae")
