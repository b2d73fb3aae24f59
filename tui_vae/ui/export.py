"""Writing something of a run to a file, by the command `tui-vae export`."""

from __future__ import annotations

import asyncio
import re
import sys
from functools import partial
from itertools import chain, count
from pathlib import Path

from textual.widget import Widget

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.exports import EXPORTS, Export
from tui_vae.ui.dialogs import AskText, Choose
from tui_vae.ui.figure_file import Figure, complaint, write_figure
from tui_vae.ui.notify_outcome import notify_outcome
from tui_vae.ui.terminal import legible, without_accents

LONGEST_STEM = 100
"""Characters of a file's name without its ending."""


def ask_and_export(node: Widget, run: RunDirectory) -> None:
    """Ask what to export, write it in the background, and notify the user where the file is."""

    def write(what: str | None) -> None:
        for choice in EXPORTS:
            if choice.what == what:
                file = _file_of(run, choice)
                node.notify(f"Writing {file.name} …", timeout=2, markup=False)
                node.run_worker(notify_outcome(node, export(run, choice, file)), group="export")

    choices = [(each.what, each.about) for each in EXPORTS]
    node.app.push_screen(Choose(f"Export from {run.name}", choices), write)


def ask_and_write(node: Widget, name: str, figure: Figure) -> None:
    """Ask for a file's name, whose ending says the format, and write the figure in the background."""
    folder = Path.cwd()

    async def write(file: Path) -> str:
        await asyncio.to_thread(write_figure, figure, file)
        return f"Written: {file}, {file.stat().st_size:,} bytes"

    def written(text: str | None) -> None:
        if text is not None:
            node.run_worker(notify_outcome(node, write(folder / text)), group="export")

    stem = "-".join([name, *re.findall(r"[A-Za-z0-9]+", without_accents(legible(figure.title)))])[:LONGEST_STEM]
    stems = chain((stem,), (f"{stem}-{number}" for number in count(2)))
    free = next(f"{each}.png" for each in stems if not (folder / f"{each}.png").exists())
    ask = AskText(f"Write the figure: {figure.title}", "PNG, SVG or CSV, as the name ends.", free,
                  partial(complaint, folder), "write it", at_end=True)  # fmt: skip
    node.app.push_screen(ask, written)


async def export(run: RunDirectory, choice: Export, file: Path) -> str:
    """Run the command, and return the sentence that says where the file is and how large.

    Raises:
        UserError: the command failed; the message is its own.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tui_vae", "export", run.name),
        *("--what", choice.what, "--out", str(file), "--runs-dir", str(run.path.parent)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, complaint = await process.communicate()
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise UserError(lines[-1] if lines else f"the export of {choice.what} failed")
    return f"Written: {told.decode(errors='replace').strip() or file}"


def _file_of(run: RunDirectory, choice: Export) -> Path:
    """In the working directory, under a name that says what it holds and that no file has."""
    stem = f"{run.name}-{choice.what}"
    stems = chain((stem,), (f"{stem}-{number}" for number in count(2)))
    ending = f".{choice.endings[0]}" if choice.endings else ""
    return next(file for each in stems if not (file := Path.cwd() / f"{each}{ending}").exists())
