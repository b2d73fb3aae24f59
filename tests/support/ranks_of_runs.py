"""The processes of a run on several devices, found as the children of its trainer."""

from __future__ import annotations

from contextlib import suppress

import psutil

from tui_vae.runs.directory import RunDirectory

WORKER = "tui_vae.trainer.several.worker"


def ranks_of(directory: RunDirectory) -> dict[int, psutil.Process]:
    """Rank → its process, of those that live now."""
    found: dict[int, psutil.Process] = {}
    holder = directory.holder()
    with suppress(psutil.Error):
        for child in psutil.Process(holder.pid).children() if holder else []:
            with suppress(psutil.Error, KeyError):
                if WORKER in child.cmdline():
                    found[int(child.environ()["RANK"])] = child
    return found
