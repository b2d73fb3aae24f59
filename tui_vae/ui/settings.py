"""Keys of the user's own, from a file that they write, and preferences that the app remembers by itself."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tui_vae.config.state_directory import state_directory
from tui_vae.config.user_file import config_file, read_table
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
    charts: list[str] = msgspec.field(default_factory=list)
    """Figures of Train's charts, by name; none: the usual ones."""
    chart_rows: int = 0
    """0, as of columns: as many as suit the screen."""
    chart_columns: int = 0
    runs_sort: str = ""
    runs_reversed: bool = False
    seen: float = 0.0
    """When the app was last opened, in seconds since the epoch."""
    runs_unfolded: list[str] = msgspec.field(default_factory=list)
    """Names of the groups whose runs are shown."""
    marks: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """The indices of marked test images, by the path of the run."""

    def mark(self, run: Path, indices: list[int]) -> None:
        """Remember the marked images of a run; an empty list forgets the run."""
        self.marks.pop(str(run), None)
        if indices:
            self.marks[str(run)] = indices
        while len(self.marks) > MOST_RUNS:
            del self.marks[next(iter(self.marks))]


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
    table, complaint = read_table("keys", "the usual keys hold")
    if complaint:
        return {}, complaint
    given = _flat(table)
    wrong = [name for name, keys in given.items() if not isinstance(keys, str) or not keys.strip(", ")]
    complaint = f'{config_file()}: the keys of {wrong[0]} must be a text, such as "ctrl+x" or "a,b".' if wrong else ""
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
