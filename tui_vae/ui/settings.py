"""Keys of the user's own, from a file that they write, and preferences that the app remembers by itself."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tui_vae.config.state_directory import state_directory
from tui_vae.runs.files import write_atomic

MOST_RUNS = 200
"""Runs whose marked images are remembered: the ones marked last, so that the file stays small."""


class Preferences(msgspec.Struct):
    """How the user left the app. A file that cannot be read counts as none."""

    pane: str = "train"
    theme: str = ""
    """The name of the theme that the user has chosen; empty: the one that suits the terminal's background."""
    background: str = ""
    """`light` or `dark`, as the last terminal said that was asked: a guess until this one has answered."""
    toning: str = ""
    """The name of the images' toning; empty: the one that suits the terminal."""
    image_size: str = ""
    """`full` (where there is room) or `half`; empty: whichever fills the screen best."""
    worst_first: bool = False
    smoothing: float = 0.25
    """Epochs that a smoothed value is the mean of."""
    log_scale: bool = False
    x_axis: str = "epochs"
    runs_sort: str = ""
    runs_reversed: bool = False
    seen: float = 0.0
    """When the app was last opened, in seconds since the epoch."""
    marks: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """The indices of marked test images, by the path of the run."""

    def mark(self, run: Path, indices: list[int]) -> None:
        """Remember the marked images of a run; an empty list forgets the run."""
        self.marks.pop(str(run), None)
        if indices:
            self.marks[str(run)] = indices
        while len(self.marks) > MOST_RUNS:
            del self.marks[next(iter(self.marks))]


def config_file() -> Path:
    """The file of the user's settings: `TUI_VAE_CONFIG`, else one in the user's configuration directory."""
    given = os.environ.get("TUI_VAE_CONFIG")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_config_path

    return user_config_path("tui-vae") / "config.toml"


def preferences_file() -> Path:
    """The file of preferences, in the user's state directory. It keeps its first name, so that nobody loses theirs."""
    return state_directory() / "habits.json"


def read_preferences() -> Preferences:
    """The preferences as last kept; the defaults where there are none, or the file cannot be read."""
    try:
        return msgspec.json.decode(preferences_file().read_bytes(), type=Preferences)
    except (OSError, ValueError, RuntimeError):
        return Preferences()


def write_preferences(data: bytes) -> None:
    """Keep encoded preferences. Where nothing can be written, nothing is kept: that is not worth a word."""
    with suppress(OSError, RuntimeError):
        file = preferences_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, data)


def read_keys() -> tuple[dict[str, str], str]:
    """The keys in the user's file by ids of commands, and a sentence about what is wrong with it, empty if nothing."""
    try:
        file = config_file()
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return {}, ""
    except (OSError, RuntimeError) as error:
        return {}, f"The settings cannot be read: {error}; the usual keys hold."
    except ValueError as error:
        return {}, f"{file} is not a TOML file: {error}; the usual keys hold."
    if not isinstance(table, dict):
        return {}, f"{file}: keys must be a table, such as [keys]; the usual keys hold."
    given = _flat(table)
    wrong = [name for name, keys in given.items() if not isinstance(keys, str) or not keys.strip(", ")]
    complaint = f'{file}: the keys of {wrong[0]} must be a text, such as "ctrl+x" or "a,b".' if wrong else ""
    return {name: keys for name, keys in given.items() if name not in wrong}, complaint


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested tables: to TOML `run.stop = "x"`, without quotes around the id, is a table in a table."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
