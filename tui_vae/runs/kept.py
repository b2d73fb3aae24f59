"""Checkpoints of earlier epochs beside `last` and `best`: the newest and ever fewer further back, or each K-th epoch.

A kept epoch has two files: `epoch-NNNNNN.safetensors`, all that resuming from its end needs, and
`epoch-NNNNNN.best.safetensors`, the best weights up to there. Both are further names (hard links) of files that the run
has written as `last` and `best`, which are replaced by a rename and never changed: keeping one costs no writing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tui_vae.runs.files import link_or_copy, sync_directory
from tui_vae.runs.safe_files import make_own_folder, open_folder

_STATE_FILE = r"epoch-([0-9]{6,15})\.safetensors"


class KeepRule(NamedTuple):
    """Which epochs are kept: each `every`-th, and `most` of them; None: all."""

    every: int
    most: int | None

    @classmethod
    def of(cls, keep: int | str) -> KeepRule | None:
        """That of the option `keep`: a number of epochs, or `every:K`. None: no epoch is kept."""
        if isinstance(keep, str):
            return cls(every=int(keep.removeprefix("every:")), most=None)
        return cls(every=1, most=keep) if keep else None


def state_file(folder: Path, epoch: int) -> Path:
    """What resuming from the end of an epoch needs."""
    return folder / f"epoch-{epoch:06d}.safetensors"


def best_file(folder: Path, epoch: int) -> Path:
    """The best weights up to the end of an epoch; missing where no test loss had been finite."""
    return folder / f"epoch-{epoch:06d}.best.safetensors"


def kept_epochs(folder: Path) -> list[int]:
    """The epochs whose state is kept, in their order."""
    try:
        with open_folder(folder) as handle:
            names = os.listdir(handle)
    except OSError:
        return []
    found = {int(match[1]) for name in names if (match := re.fullmatch(_STATE_FILE, name))}
    return sorted(epoch for epoch in found if state_file(folder, epoch).name in names)


def thinned(epochs: Sequence[int], most: int) -> list[int]:
    """Which of these epochs, in their order, stay where `most` are kept: the newest, and ever fewer further back.

    While there are too many, the one goes whose absence leaves the smallest gap for its age in epochs.
    """
    kept = list(epochs)
    while len(kept) > max(most, 1):
        gaps = [(after - before) / (kept[-1] - each)
                for before, each, after in zip([0, *kept], kept, kept[1:], strict=False)]  # fmt: skip
        del kept[gaps.index(min(gaps))]
    return kept


def keep(folder: Path, epoch: int, last: Path, best: Path, most: int | None) -> None:
    """Keep `last` and `best`, which are of the end of `epoch`. With `most`, remove epochs until so many are left.

    Raises:
        OSError: the folder cannot be written.
    """
    make_own_folder(folder)
    if best.exists():
        link_or_copy(best, best_file(folder, epoch))
    link_or_copy(last, state_file(folder, epoch))
    if most is not None:
        epochs = kept_epochs(folder)
        remove(folder, set(epochs) - set(thinned(epochs, most)))
    sync_directory(folder)


def remove(folder: Path, epochs: set[int]) -> None:
    """
    Raises:
        OSError: the folder cannot be written.
    """
    for epoch in epochs:
        state_file(folder, epoch).unlink(missing_ok=True)
        best_file(folder, epoch).unlink(missing_ok=True)
