"""Runs of a newer tui-vae: one sentence says so, before a process of this one writes anything into them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from tui_vae import __version__
from tui_vae.config import UnknownOption, field_name, parse_config
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import FORMAT, CheckpointError, Progress, read_facts
from tui_vae.runs.directory import MOST_CONFIG, RunDirectory, newer_error
from tui_vae.runs.safe_files import read_whole

KNOWN_FACTS = {"format", "crc32", *(field.name for field in fields(Progress))}
"""The fields of a checkpoint's metadata."""


def check_not_newer(directory: RunDirectory, path: Path | None = None) -> None:
    """`path`: the checkpoint that would be loaded; by default the newest there is, and else config.toml is looked at.

    Raises:
        NewerRun: they say what this version does not know.
    """
    files = directory.files
    path = path or next((each for each in (files.last, files.best) if each.exists()), None)
    what = _of_config(directory) if path is None else _of_checkpoint(path)
    if what:
        raise newer_error(directory, what, _version(files.events))


def _of_config(directory: RunDirectory) -> str:
    try:
        parse_config(read_whole(directory.files.config, MOST_CONFIG), directory.config)
    except UnknownOption as error:
        return f"its config.toml has an option {error.name!r}"
    except (UserError, OSError):
        return ""  # whoever reads it says what is wrong
    return ""


def _of_checkpoint(path: Path) -> str:
    try:
        facts = read_facts(path)
    except CheckpointError:
        return ""
    version = facts.get("format")
    if isinstance(version, int) and version > FORMAT:
        return f"its {path.name} has format {version}"
    for name in sorted(facts.keys() - KNOWN_FACTS):
        return f"its {path.name} has a field {name!r}"
    config = facts.get("config")
    option = _unknown(config) if isinstance(config, dict) else None
    return f"its {path.name} has an option {option!r}" if option else ""


def _unknown(names: Iterable[Any]) -> str | None:
    for name in names:
        try:
            field_name(str(name))
        except UnknownOption as error:
            return error.name
    return None


def _version(log: Path) -> str:
    """The version of tui-vae that began the run, where the log says so and it is another than this one; else empty."""
    with suppress(OSError):
        for event in ev.LogTail(log).read():
            if isinstance(event, ev.RunEvent):
                version = event.versions.get("tui-vae", "")
                return "" if version == __version__ else version
    return ""
