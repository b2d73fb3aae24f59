"""Whether a run's data can be used, asked of a process of its own: what asks must not import what reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

from tui_vae.config import RunConfig
from tui_vae.config.data_options import is_own
from tui_vae.errors import UserError

MODULE = "tui_vae.core.data.check"


def check_data(config: RunConfig) -> None:
    """
    Raises:
        UserError: the data cannot be used; the message says why.
    """
    if not is_own(config.dataset, config.data_dir):
        return
    done = subprocess.run(  # noqa: S603  # this Python, our module
        [sys.executable, "-P", "-m", MODULE], input=json.dumps(config.to_dict()).encode(), capture_output=True
    )
    if done.returncode:
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(done.stdout)
            raise UserError(str(told["message"]), str(told["hint"]))
        raise UserError("the data cannot be read", "see what is wrong with: tui-vae data PATH")
