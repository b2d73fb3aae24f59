"""The commands that are run once when a run's training has ended: the run's own (`--on-end`) and the user's.

The user's is `command` under `[notify]` in the file of settings. Each is started and left alone: nothing waits for it,
and whatever becomes of it changes nothing about the run. Its output goes where the trainer's goes, to trainer.log.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import suppress

from tui_vae.config.own_code import NotTrusted
from tui_vae.config.user_file import read_notices
from tui_vae.plain_text import plain
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.summary import RunSummary, summarize
from tui_vae.runs.trust import check_command

SHELL = "/bin/sh"

MOST_REASON = 4000
"""Characters of the reason in the environment, whose size the system limits."""


def run_end_commands(directory: RunDirectory, state: str, reason: str = "") -> None:
    """Start the commands for this end of a run. Whatever goes wrong is a line of trainer.log; nothing is raised."""
    try:
        commands = _commands(directory)
        environment = {**os.environ, **end_facts(directory, state, reason)} if commands else {}
        for command in commands:
            subprocess.Popen([SHELL, "-c", command], stdin=subprocess.DEVNULL, start_new_session=True, env=environment)  # noqa: S603  # the user's own command, which they gave or allowed
    except Exception as error:
        print(f"no command was run at the end: {error}", file=sys.stderr)


def _commands(directory: RunDirectory) -> list[str]:
    notices, complaint = read_notices()
    if complaint:
        print(complaint, file=sys.stderr)
    commands = [notices.command] if notices.command.strip() else []
    try:
        own = check_command(directory)
    except NotTrusted as error:
        print(f"not run: {error}", file=sys.stderr)
    else:
        commands += [own[0]] if own else []
    return commands


def end_facts(directory: RunDirectory, state: str, reason: str) -> dict[str, str]:
    """What a command is told in its environment: the newest figures of the test set, empty where there are none.

    state: `finished`, `stopped` or `failed`.
    """
    summary: RunSummary | None = None
    with suppress(RunError, OSError):
        summary = summarize(directory)
    facts = {
        "": directory.name,
        "_DIRECTORY": str(directory.path),
        "_STATE": state,
        "_REASON": plain(reason)[:MOST_REASON],
    }
    if summary is not None:
        facts |= {
            "_EPOCHS": str(summary.epochs),
            "_PLANNED_EPOCHS": str(summary.planned),
            "_LOSS": _number(summary.test_loss),
            "_MSE": _number(summary.mse),
            "_KL": _number(summary.kl),
            "_BITS": _number(summary.elbo_bpd),
            "_ACTIVE_UNITS": "" if summary.active_units is None else str(summary.active_units),
            "_HEALTH": ",".join(summary.health),
            "_DEVICE": summary.device,
        }
    return {f"TUI_VAE_RUN{name}": value.replace("\0", "") for name, value in facts.items()}


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else repr(value)
