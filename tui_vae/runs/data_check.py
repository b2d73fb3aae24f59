"""Whether a run's data can be used, asked of a process of its own: what asks must not import what reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

from tui_vae.config import RunConfig
from tui_vae.config.data_options import is_own
from tui_vae.errors import UserError
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.directory import RunDirectory

MODULE = "tui_vae.core.data.check"


def check_data(config: RunConfig, run: str = "", fingerprint: str = "") -> None:
    """
    Raises:
        UserError: the data cannot be used, or are not those of the run; the message says why.
    """
    if not is_own(config.dataset, config.data_dir):
        return
    asked = json.dumps({"config": config.to_dict(), "run": run, "fingerprint": fingerprint})
    done = subprocess.run(  # noqa: S603  # this Python, our module
        [sys.executable, "-P", "-m", MODULE], input=asked.encode(), capture_output=True
    )
    if done.returncode:
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(done.stdout)
            raise UserError(str(told["message"]), str(told["hint"]))
        raise UserError("the data cannot be read", "see what is wrong with: tui-vae data PATH")


def check_data_of(run: RunDirectory) -> None:
    """The same for a run that is to go on from its last checkpoint, before its log would say that it has failed.

    Raises:
        UserError: as `check_data`.
    """
    try:
        config, fingerprint = run.read_config(), read_facts(run.files.last).get("data", "")
    except (CheckpointError, UserError, OSError):
        return  # whoever reads them next can say it
    if fingerprint:
        check_data(config, run.name, str(fingerprint))
