"""Where known data sets are kept on this machine. Whoever only asks whether one is there needs nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from tui_vae.config.data_options import DEFAULT_SET, NAMED_SETS

TITLES = {"mnist": "MNIST", "kmnist": "KMNIST", "qmnist": "QMNIST", "emnist": "EMNIST"}
"""The family of a known set → torchvision's class, which names the folder of its files."""


def cache_home() -> Path:
    """The directory that downloads and decoded images go to."""
    import platformdirs

    return Path(os.environ.get("TUI_VAE_CACHE") or platformdirs.user_cache_dir("tui-vae")).expanduser()


def system_place(name: str) -> Path:
    """Where a system's package has put a known set."""
    return Path(os.environ.get("TUI_VAE_SYSTEM_DATA") or f"/usr/share/datasets/{name}").expanduser()


def folder_of(name: str) -> Path:
    """Where the files of a known set other than FashionMNIST are kept, in torchvision's layout."""
    family = name.partition("-")[0]
    return cache_home() / family / TITLES[family] / "raw"


def is_here(name: str) -> bool:
    """Whether a known set seems to be on this machine: its folder is."""
    if name == DEFAULT_SET:
        return (cache_home() / name).is_dir() or system_place(name).is_dir()
    return folder_of(name).is_dir()


def names_here() -> list[str]:
    """The known sets that seem to be on this machine."""
    return [name for name in NAMED_SETS if is_here(name)]
