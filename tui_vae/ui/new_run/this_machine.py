"""What the form knows of an option from this machine and the runs' directory: the table of options cannot know it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textual.suggester import Suggester

from tui_vae.config import is_named
from tui_vae.runs.data_found import completions


class DataSuggester(Suggester):
    """Completes what is typed to a known set's name, or to the first file or folder that begins so."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)  # files come and go

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(await asyncio.to_thread(completions, value)), None)


def _of_name(name: str, runs_dir: Path) -> str:
    return "there is a run of this name already" if (runs_dir / name).exists() else ""


def _of_folder(path: str, _: Path) -> str:
    return "" if Path(path).is_dir() else f"there is no folder {path}"


def _of_dataset(dataset: str, _: Path) -> str:
    return "" if is_named(dataset) or os.path.exists(dataset) else f"there is no file or folder {dataset}"


_COMPLAINTS: Mapping[str, Callable[[Any, Path], str]] = {
    "name": _of_name,
    "data_dir": _of_folder,
    "dataset": _of_dataset,
}

SUGGESTERS: Mapping[str, Callable[[], Suggester]] = {"dataset": DataSuggester}
"""What completes the text that is typed into an option's field."""


def complaint(name: str, value: Any, runs_dir: Path) -> str:
    """What is wrong here with an option's value that the table of options allows; empty if nothing is."""
    check = _COMPLAINTS.get(name)
    return check(value, runs_dir) if check is not None and value is not None else ""
