"""Where the runs are kept."""

from __future__ import annotations

import os
from pathlib import Path

from tui_vae.config.user_file import read_runs_dir
from tui_vae.errors import UsageError


def runs_directory(given: str | Path | None = None) -> Path:
    """Where the runs are: `--runs-dir`, else `TUI_VAE_RUNS`, else what the user's settings say, else `checkpoints/`.

    Raises:
        UsageError: it is in the home of a user who is not known, or in a working directory that has been deleted; or
            the settings do not say it rightly.
    """
    wanted = Path(given or os.environ.get("TUI_VAE_RUNS") or read_runs_dir() or "checkpoints")
    try:
        return wanted.expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"there is no home directory for {wanted}", "name a folder with --runs-dir") from None
    except OSError:
        raise UsageError("the working directory has been deleted", "change to another one: cd") from None
