"""Where the runs are kept."""

from __future__ import annotations

import os
from pathlib import Path


def runs_directory(given: str | Path | None = None) -> Path:
    """Where the runs are: `--runs-dir`, else `TUI_VAE_RUNS`, else `checkpoints/` of the working directory."""
    return Path(given or os.environ.get("TUI_VAE_RUNS") or "checkpoints").expanduser().absolute()
