"""Copying a run: its checkpoints and previews are never changed, so that both runs can have the same files of them."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import replace

from tui_vae.runs.create import config_toml, put_in_place
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.files import link_or_copy, sync_directory, write_atomic
from tui_vae.runs.kept import best_file, kept_epochs, state_file
from tui_vae.runs.previews import ORIGINALS, preview_files
from tui_vae.runs.safe_files import open_to_read, why_no_folder


def copy_run(directory: RunDirectory, target: RunDirectory) -> bool:
    """Make `target` a run with all that this one holds, whole or not at all; whether its name was free.

    Raises:
        OSError: it cannot be written. UsageError: the run's config.toml is damaged.
    """
    config, files = directory.read_config(), directory.files

    def fill(fresh: RunDirectory) -> None:
        fresh.previews.mkdir()
        fresh.kept.mkdir()
        # The log is appended to, so it must not be one file with two names.
        with open_to_read(files.events) as source, open(fresh.events, "xb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        kept = kept_epochs(files.kept)
        pairs = [(files.last, fresh.last), (files.best, fresh.best), (files.note, fresh.note), (files.tags, fresh.tags)]
        pairs += [(path, fresh.previews / path.name) for _, path in preview_files(files.previews)]
        if not why_no_folder(files.previews):  # what a link leads to is not the run's
            pairs += [(files.previews / ORIGINALS, fresh.previews / ORIGINALS)]
        pairs += [(name(files.kept, each), name(fresh.kept, each)) for each in kept for name in (state_file, best_file)]
        for source_path, target_path in pairs:
            with suppress(FileNotFoundError):
                link_or_copy(source_path, target_path)
        for folder in (fresh.previews, fresh.kept):
            sync_directory(folder)
        write_atomic(fresh.config, config_toml(replace(config, name=target.name)))

    return put_in_place(target, fill, stat.S_IMODE(files.path.stat().st_mode))
