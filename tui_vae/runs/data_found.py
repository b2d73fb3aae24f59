"""Data that a new run can be offered: known sets on this machine, and what the newest runs were trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from tui_vae.config import is_named
from tui_vae.config.data_options import DEFAULT_SET
from tui_vae.config.data_places import names_here
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory

MOST_RUNS = 20
"""Newest runs whose data are offered."""

MOST_OFFERED = 6
"""Data sets that are offered, besides FashionMNIST."""


def offered(runs: Iterable[RunDirectory]) -> list[str]:
    """Names and paths for the option `dataset`, besides FashionMNIST: each is there, or seems to be."""
    names = [name for name in names_here() if name != DEFAULT_SET]
    found = dict.fromkeys([*_paths_of(runs), *names])
    return list(found)[:MOST_OFFERED]


def _paths_of(runs: Iterable[RunDirectory]) -> Iterator[str]:
    for _, run in zip(range(MOST_RUNS), runs, strict=False):
        try:
            dataset = run.read_config().dataset
        except (UserError, OSError):
            continue
        if not is_named(dataset) and os.path.exists(dataset):
            yield dataset


def completions(text: str) -> list[str]:
    """Values of the option `dataset` that begin so: known sets, and files and folders that are there, without hidden
    ones."""
    from tui_vae.config import NAMED_SETS

    names = [name for name in NAMED_SETS if name.startswith(text) and name != text] if text else []
    folder, _, begin = os.path.expanduser(text).rpartition("/")
    try:
        with os.scandir(f"{folder}/" if "/" in text else ".") as entries:
            there = sorted(
                f"{text.rpartition('/')[0]}/{entry.name}" if "/" in text else entry.name
                for entry in entries
                if entry.name.startswith(begin) and not entry.name.startswith(".") and entry.name != begin
            )
    except OSError:
        there = []
    return [*names, *there] if text else names
