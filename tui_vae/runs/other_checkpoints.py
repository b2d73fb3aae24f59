"""What to advise where a checkpoint cannot be loaded: those of its run that can."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tui_vae.runs import advice
from tui_vae.runs.checkpoint_file import CheckpointError, verify_checkpoint
from tui_vae.runs.directory import RunDirectory, train_another
from tui_vae.runs.go_back import newest_whole, way_on
from tui_vae.runs.log_search import mentions_run


def choose_another(directory: RunDirectory, path: Path) -> str:
    """The hint for a command that takes `--checkpoint`, and cannot load the one at `path`."""
    whole = _whole(directory, path)
    if not whole:
        return _train_another(directory)
    shown = [f"epoch {name}" if name.isdecimal() else f"{name}, of epoch {epoch}" for name, epoch in whole.items()]
    listed = " and ".join(f"{words} (--checkpoint {name})" for words, name in zip(shown, whole, strict=True))
    return f"whole {'is' if len(whole) == 1 else 'are'} {listed}"


def go_on_or_look(directory: RunDirectory) -> str:
    """The hint for a process that answers from the newest checkpoint, and cannot load it."""
    if not directory.why_read_only() and newest_whole(directory) is not None:
        return way_on(directory)
    for name in _whole(directory, directory.files.last):
        return f"look at a whole checkpoint: {advice.of_run('show', directory.path, options=('--checkpoint', name))}"
    return _train_another(directory)


def _whole(directory: RunDirectory, but: Path) -> dict[str, int]:
    """Name and epoch of `last`, `best` and the newest kept checkpoint, as far as they are whole and of this run."""
    found = {}
    for name in ("last", "best"):
        if directory.files.checkpoint(name) != but:
            with suppress(CheckpointError, OSError):
                progress = verify_checkpoint(directory.files.checkpoint(name))
                if mentions_run(directory.files.events, progress.run_id):
                    found[name] = progress.evaluated
    epoch = newest_whole(directory)
    return found if epoch is None else {**found, str(epoch): epoch}


def _train_another(directory: RunDirectory) -> str:
    return "" if directory.why_read_only() else train_another(directory)
