"""Writing something of a run to a file, through the command that does it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.exports import Export


def file_of(run: RunDirectory, choice: Export) -> Path:
    """Where it is written: in the working directory, under a name that tells what it is."""
    return Path.cwd() / f"{run.name}-{choice.what}.{choice.ending}"


async def export(run: RunDirectory, choice: Export) -> str:
    """Run the command; the sentence that says where the file is.

    Raises:
        UserError: it failed; the message is its own.
    """
    file = file_of(run, choice)
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
