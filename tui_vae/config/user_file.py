"""The file of settings that users write: where it is, and its tables."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_vae.errors import UsageError
from tui_vae.plain_text import plain

TABLES = ("keys", "notify", "train")
"""The tables of the file: `ui/settings.py` reads the first, this module the others."""

RUNS_DIR = "runs-dir"
"""The one line outside all tables: where runs are kept."""


def config_file() -> Path:
    """The file of the user's settings: `TUI_VAE_CONFIG`, else one in the user's configuration directory."""
    given = os.environ.get("TUI_VAE_CONFIG")
    if given:
        return Path(given).expanduser()
    if sys.platform == "linux":  # where platformdirs would say the same, but takes as long as the whole of `ls`
        return Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or "~/.config").expanduser() / "tui-vae/config.toml"
    from platformdirs import user_config_path

    return user_config_path("tui-vae") / "config.toml"


def read_table(name: str, instead: str) -> tuple[dict[str, Any], str]:
    """A table of the file, and a sentence about what is wrong with it or with the whole file, empty if nothing.

    `instead`: what holds where the table is none, as the end of that sentence.
    """
    file, given, complaint = _read()
    table = given.get(name, {})
    if not isinstance(table, dict):
        return {}, f"{file}: {name} must be a table, such as [{name}]; {instead}."
    return table, complaint


def why_unreadable() -> str:
    """A sentence about what keeps the whole file from being read; empty if nothing."""
    return _read()[2]


def _read() -> tuple[Path | None, dict[str, Any], str]:
    """The file, its tables, and why it cannot be read: the same sentence whichever table was asked for."""
    import tomllib  # quick commands read no such file

    file, instead = None, "all is as usual"
    try:
        file = config_file()
        return file, tomllib.loads(_text(file)), ""
    except FileNotFoundError:
        return file, {}, ""
    except RuntimeError as error:
        return file, {}, f"The settings cannot be looked for: {error}; {instead}."
    except OSError as error:
        return file, {}, f"{file} cannot be read: {error.strerror or error}; {instead}."
    except ValueError as error:
        return file, {}, f"{file} is not a TOML file: {error}; {instead}."


def unknown_names() -> str:
    """A sentence about what stands in the file outside all its tables, or in a table that it has not; else empty."""
    file, given, complaint = _read()
    wrong = next((name for name in given if name not in (*TABLES, RUNS_DIR)), None)
    if complaint or wrong is None:
        return ""
    known = ", ".join(f"[{name}]" for name in TABLES)
    return f"{file}: {plain(wrong)} means nothing there; it may have {known} and, above them, {RUNS_DIR}."


def read_runs_dir() -> Path | None:
    """Where the user keeps runs, if the file says so.

    Raises:
        UsageError: it says so, and is not TOML, or this is no path that is the same wherever one is.
    """
    try:
        file = config_file()
        text = _text(file)
    except (OSError, RuntimeError, ValueError):
        return None
    if RUNS_DIR not in text:
        return None
    given = _parsed(text, file).get(RUNS_DIR)
    if given is None:
        return None
    if not isinstance(given, str) or not given.startswith(("/", "~")):
        raise UsageError(f"{file}: {RUNS_DIR} must be a path that begins with / or ~", 'such as runs-dir = "~/runs"')
    return Path(given)


def read_train_defaults() -> dict[str, Any]:
    """The table `[train]`: what `train` and `sweep` take where neither the command line nor `--config` says it.

    Raises:
        UsageError: the file is not TOML, or the table has an unknown option or a value out of place.
    """
    from tui_vae.config.run_config import check_option, field_name

    try:
        file = config_file()
        text = _text(file)
    except (FileNotFoundError, NotADirectoryError, RuntimeError):
        return {}
    except OSError as error:
        hint = "mend that, or name another file of settings in TUI_VAE_CONFIG"
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", hint) from None
    except ValueError as error:
        raise UsageError(f"{file} is not a TOML file: {error}", "mend it; it is UTF-8 text") from None
    table = _parsed(text, file).get("train", {})
    if not isinstance(table, dict):
        raise UsageError(f"{file}: train must be a table", "begin it with a line [train]")
    if "name" in table:
        raise UsageError(f"{file}: name under [train] would be that of every run", "give it as --name instead")
    try:
        return {field_name(name): check_option(name, value) for name, value in table.items()}
    except UsageError as error:
        error.message = f"{file}, under [train]: {error.message}"
        raise


def _text(file: Path) -> str:
    from tui_vae.config.files import plain_bytes

    return plain_bytes(file).decode()


def _parsed(text: str, file: Path) -> dict[str, Any]:
    """
    Raises:
        UsageError: it is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise UsageError(f"{file} is not a TOML file: {plain(str(error))}", "mend that line") from None


@dataclass(frozen=True)
class Notices:
    """The table `[notify]`: how the user wants to hear of a run.

    `command`: what a shell runs once when a run's training has ended, with the facts of `trainer/end_commands.py` in
    its environment; empty: nothing. `title`: the terminal's title says the run's state. `bell`, `desktop`: an end, a
    failure or a warning rings the bell, and asks the terminal for a notice on the desktop (OSC 9 and 777).
    """

    command: str = ""
    title: bool = True
    bell: bool = True
    desktop: bool = True


def read_notices() -> tuple[Notices, str]:
    """The table `[notify]`, and a sentence about what is wrong with it, empty if nothing."""
    table, complaint = read_table("notify", "notices are as usual")
    if complaint:
        return Notices(), complaint
    usual = vars(Notices())
    right = {name: value for name, value in table.items() if name in usual and type(value) is type(usual[name])}
    wrong = next((name for name in table if name not in right), None)
    if wrong is None:
        return Notices(**right), ""
    known = ", ".join(usual)
    what = f"must be {'a text' if wrong == 'command' else 'true or false'}" if wrong in usual else f"is none of {known}"
    return Notices(**right), f"{config_file()}: {wrong} under [notify] {what}; notices are else as usual."
