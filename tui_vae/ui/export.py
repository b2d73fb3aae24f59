"""Writing something of a run to a file, through the command that does it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory


@dataclass(frozen=True)
class Export:
    """A choice of `tui-vae export --what`."""

    what: str
    ending: str
    about: str

    def file_of(self, run: RunDirectory) -> Path:
        """Where it is written: in the working directory, under a name that tells what it is."""
        return Path.cwd() / f"{run.name}-{self.what}.{self.ending}"


EXPORTS = (
    Export("metrics", "csv", "CSV: the figures of every epoch"),
    Export("grid", "png", "PNG: originals and reconstructions of every class"),
    Export("reconstructions", "npz", "NPZ: the whole test set, with its latents"),
)


async def export(run: RunDirectory, choice: Export) -> str:
    """Run the command; the sentence that says where the file is.

    Raises:
        UserError: it failed; the message is its own.
    """
    file = choice.file_of(run)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tui_vae", "export", run.name),
        *("--what", choice.what, "--out", str(file), "--runs-dir", str(run.path.parent)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate()
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise UserError(lines[-1] if lines else f"the export of {choice.what} failed")
    return f"Written: {file}"
