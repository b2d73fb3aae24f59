"""The file of settings that users write: where it is, and its tables."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def config_file() -> Path:
    """The file of the user's settings: `TUI_VAE_CONFIG`, else one in the user's configuration directory."""
    given = os.environ.get("TUI_VAE_CONFIG")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_config_path

    return user_config_path("tui-vae") / "config.toml"


def read_table(name: str, instead: str) -> tuple[dict[str, Any], str]:
    """A table of the file, and a sentence about what is wrong with it, empty if nothing.

    `instead`: what holds where it cannot be read, as the end of that sentence.
    """
    try:
        file = config_file()
        table = tomllib.loads(file.read_text(encoding="utf-8")).get(name, {})
    except FileNotFoundError:
        return {}, ""
    except (OSError, RuntimeError) as error:
        return {}, f"The settings cannot be read: {error}; {instead}."
    except ValueError as error:
        return {}, f"{file} is not a TOML file: {error}; {instead}."
    if not isinstance(table, dict):
        return {}, f"{file}: {name} must be a table, such as [{name}]; {instead}."
    return table, ""


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
