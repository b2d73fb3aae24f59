"""Whether the code that a run names may run, asked before any process of the run is started."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from tui_vae.config import RunConfig, recorded_config
from tui_vae.config.end_command import allow_end_command, check_end_command
from tui_vae.config.own_code import Changed, NotTrusted, OwnCode, allow, check_allowed, find_code, with_model_folder
from tui_vae.errors import UserError
from tui_vae.runs.checkpoint_file import read_facts
from tui_vae.runs.directory import RunDirectory, find_run
from tui_vae.runs.safe_files import is_of_this_user


def check_code(directory: RunDirectory, which: str | None = None) -> OwnCode | None:
    """The code of the model that a process of this run would import, which may run; None if there is none.

    `which`: the checkpoint that it would load; by default the newest.

    Raises:
        NotTrusted: it may not run.
    """
    config = _config(directory, which)
    return check_allowed(config) if config else None


def check_command(directory: RunDirectory) -> tuple[str, str] | None:
    """The command that this run names for the end of its training, which may run, and its digest; None without one.

    Raises:
        NotTrusted: it may not run.
    """
    config = _config(directory, None)
    digest = check_end_command(config) if config else None
    return (config.on_end, digest) if config and config.on_end and digest else None


def allow_code(directory: RunDirectory, which: str | None = None) -> None:
    """Allow the code and the command that a run names, in its checkpoint called `which` or the newest: the user
    says so."""
    config = _config(directory, which)
    if config:
        allow(config)
        allow_end_command(config)


def check_named(file: Path, config: RunConfig, names: Collection[str]) -> None:
    """Check what a file of options has a new run run: it may come from a stranger, as a run's config.toml.

    A model's code that this user keeps in their own files, and has trained with before, may have changed since, as at
    any `train`. names: the options that are taken from the file, and not from the command line.

    Raises:
        NotTrusted: it names the code of a model, or a command for the end, that may not run.
    """
    wanted = with_model_folder(config)
    try:
        if not {"model", "model_dir"}.isdisjoint(names):
            try:
                check_allowed(wanted)
            except Changed:
                code = find_code(wanted)
                if code is None or not all(_is_own(each) for each, _ in code.files):
                    raise
        if "on_end" in names:
            check_end_command(wanted)
    except NotTrusted as error:
        raise NotTrusted(error.message, f"{file} names it: read it, then give it yourself, as an option") from None


def _is_own(path: str) -> bool:
    try:
        return is_of_this_user(os.stat(path), Path(path).parent)
    except OSError:  # a module that is built in
        return False


def find_to_load(runs_dir: Path, name: str | None, trust: bool, which: str | None = None) -> RunDirectory:
    """The run called `name`, or the newest; with `trust`, what its model would import is allowed.

    Raises:
        RunError: there is no such run, or it cannot be read.
    """
    directory = find_run(runs_dir, name)
    if trust:
        allow_code(directory, which)
    return directory


def _config(directory: RunDirectory, which: str | None) -> RunConfig | None:
    """What a process of the run would obey: its checkpoint's configuration, else that of config.toml.

    None where it cannot be read: whoever needs it will say why, and imports nothing before.
    """
    files = directory.files
    candidates = [files.checkpoint(which)] if which else [files.last, files.best]
    path = next((path for path in candidates if path.exists()), None)
    try:
        return directory.read_config() if path is None else recorded_config(read_facts(path)["config"])
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return None
