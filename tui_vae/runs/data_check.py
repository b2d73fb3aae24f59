"""Whether a run's data can be used, asked of a process of its own: what asks must not import what reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from tui_vae.config import RunConfig
from tui_vae.config.data_options import is_own
from tui_vae.errors import UserError
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.directory import RunDirectory

MODULE = "tui_vae.core.data.check"


def silent(text: str) -> None:
    """For whoever shows no progress."""


def not_noted(process: subprocess.Popen[bytes]) -> None:
    """For whoever waits until it has ended."""


def check_data(
    config: RunConfig, run: str = "", fingerprint: str = "", progress: Callable[[str], None] = silent,
    began: Callable[[subprocess.Popen[bytes]], None] = not_noted,
) -> None:  # fmt: skip
    """See whether a run's data can be used.

    `progress` is told what is under way, and `began` of the process that reads them, which may be killed at any time.

    Raises:
        UserError: the data cannot be used, or are not those of the run; the message says why.
    """
    if not is_own(config.dataset, config.data_dir):
        return
    asked = json.dumps({"config": config.to_dict(), "run": run, "fingerprint": fingerprint})
    told: dict[str, str] = {}
    with subprocess.Popen(  # noqa: S603  # this Python, our module
        [sys.executable, "-P", "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            began(process)
            with suppress(BrokenPipeError):
                process.stdin.write(asked.encode())
                process.stdin.close()
            for line in process.stdout:
                with suppress(ValueError, TypeError):
                    told = json.loads(line)
                    if "progress" in told:
                        progress(told["progress"])
        except BaseException:  # an interrupted notebook's too, which its processes do not hear of
            process.kill()
            raise
    if process.returncode:
        if "message" in told:
            raise UserError(str(told["message"]), str(told.get("hint", "")))
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
