"""Whether a run that is there already is the one that a command would make: then the command goes on with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tui_vae.config import RunConfig
from tui_vae.config.own_code import with_model_folder
from tui_vae.errors import UsageError
from tui_vae.runs.comparison import differences
from tui_vae.runs.directory import RunDirectory


def check_same(directory: RunDirectory, wanted: RunConfig, given: Iterable[str], hint: str) -> None:
    """Check that a run is what is wanted. Devices and threads count only where they are `given`.

    Raises:
        UsageError: it has other options; `hint` says what to do.
        UserError: its config.toml cannot be read.
    """
    machine: dict[str, Any] = {"device": "auto", "threads": None, "devices": 1}
    free = {name: value for name, value in machine.items() if name not in given}
    of_run, of_wanted = directory.read_config(), with_model_folder(wanted)  # as it is recorded
    for each in differences([replace(of_run, **free), replace(of_wanted, **free)]):
        raise UsageError(
            f"there is a run {directory.name!r} already, with {each.name} {each.values[0]}, not {each.values[1]}", hint
        )
