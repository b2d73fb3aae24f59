"""The option `log`: which trackers get a run's figures too, and what each needs to be installed."""

from __future__ import annotations

from importlib.util import find_spec

from tui_vae.config.options import NotAllowed
from tui_vae.errors import UserError

MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
"""A tracker's name, which is that of the extra too, and the library that writes for it."""


def tracker_names(text: str) -> str:
    """Names of trackers with commas between them, each once, in the order of `MODULES`.

    Raises:
        NotAllowed: there is another word among them.
    """
    given = {word.strip() for word in text.split(",")}
    if not given <= set(MODULES):
        raise NotAllowed(f"{' or '.join(MODULES)}, or both with a comma between them")
    return ",".join(name for name in MODULES if name in given)


def check_installed(log: str | None) -> None:
    """
    Raises:
        UserError: what a tracker needs is not installed.
    """
    for name in (log or "").split(","):
        if name and not find_spec(MODULES[name]):
            raise UserError(f"--log {name} needs {MODULES[name]}", f"install it: pip install {MODULES[name]}")
