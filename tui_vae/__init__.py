"""Train a variational autoencoder on a headless server: watch it, steer it and look inside it from a terminal.

From Python: `from tui_vae import load_model, load_run, train`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` says the same, and takes 3 ms of a command's start
if TYPE_CHECKING:
    from typing import Any

    from tui_vae.api.hub import load_model
    from tui_vae.api.run import Run, load_run
    from tui_vae.api.training import train

__version__ = "0.2.0.dev0"
__all__ = ["Run", "load_model", "load_run", "train"]


def __getattr__(name: str) -> Any:
    """What Python users import, loaded when they ask for it: the commands and the app start without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tui_vae.api import hub, run, training

    return {"Run": run.Run, "load_model": hub.load_model, "load_run": run.load_run, "train": training.train}[name]
