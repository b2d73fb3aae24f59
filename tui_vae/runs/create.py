"""Making a run's directory, and clearing away one whose run failed before its first step."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from tui_vae.config import RunConfig, is_named
from tui_vae.config.data_options import DEFAULT_SET, is_own
from tui_vae.config.end_command import allow_end_command
from tui_vae.config.own_code import allow, with_model_folder
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory, RunError, is_resumable
from tui_vae.runs.file_locks import WHAT_TO_DO, has_locks
from tui_vae.runs.files import sync_directory, write_atomic
from tui_vae.runs.history import read_history
from tui_vae.runs.leftovers import make_hidden, sweep_leftovers
from tui_vae.runs.lock import RunLock

MOST_EARLY = 1 << 20
"""Bytes of a log that is looked at for an early failure: the log of a run that made no step is far shorter."""

RUN_MODE = 0o755
"""Permissions of a run's directory: its user changes it, others may look at it, as at any folder that people make."""

LONGEST_STEM = 40
"""Characters of a data set's name that a run is named after."""

MOST_TRIES = 1000
"""How often a name is tried while other processes take, or clear away, the same ones."""


def create_run(runs_dir: Path, config: RunConfig) -> tuple[RunDirectory, RunConfig]:
    """Make a new run's directory with its config.toml; without a name the run gets the next free one.

    The directory is whole from the first moment on. The folder of a model of the user's own is recorded, as whoever
    opens the run may be elsewhere, and its code is allowed from then on: the user trains with it. A run that failed
    before its first step gives way to a new one of its name.

    Raises:
        RunError: the name is taken, or the directory cannot be written, or its disk has no file locks.
    """
    config = with_model_folder(config)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(runs_dir)
        for _ in range(MOST_TRIES):
            named = replace(config, name=config.name or _free_name(runs_dir, config))
            target = RunDirectory(runs_dir / str(named.name))
            if config.name and failed_early(target):
                clear_failed(target)
            if put_in_place(target, partial(_fill, named)):
                allow(named)
                allow_end_command(named)
                return target, named
            if config.name and target.path.exists():
                raise _taken(target)
    except OSError as error:
        raise RunError(f"cannot create a run in {runs_dir}: {error.strerror}", "choose another --runs-dir") from None
    raise RunError(f"no free run name in {runs_dir}", "choose one with --name")


def _taken(run: RunDirectory) -> RunError:
    way_on = f", or continue it: {advice.of_run('resume', run.path)}" if is_resumable(run) else ""
    return RunError(f"run {run.name!r} already exists in {run.path.parent}", f"choose another --name{way_on}")


def _fill(config: RunConfig, fresh: RunDirectory) -> None:
    fresh.previews.mkdir()
    write_atomic(fresh.config, config_toml(config))  # syncs the file, and both names in `fresh`


def put_in_place(target: RunDirectory, fill: Callable[[RunDirectory], None], mode: int = RUN_MODE) -> bool:
    """Make a run's directory beside its place, let `fill` write its files, and rename it; whether the name was free.

    Raises:
        OSError: it cannot be written. RunError: the disk has no file locks, so that nothing could train there.
    """
    runs_dir = target.path.parent
    fresh = make_hidden(runs_dir, "new")
    try:
        fresh.chmod(mode)
        fill(RunDirectory(fresh))
        if not has_locks(RunDirectory(fresh).config):
            shutil.rmtree(fresh, ignore_errors=True)
            what = "has no file locks (flock), which keep two processes from training one run"
            raise RunError(f"cannot create a run in {runs_dir}: its disk {what}", WHAT_TO_DO)
        os.rename(fresh, target.path)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        # The directory that was in the way may have been cleared away since, by another process: try again then.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not target.path.exists():
            raise
        return False
    sync_directory(runs_dir)
    return True


def config_toml(config: RunConfig) -> bytes:
    """`config.toml`: every option, every default spelled out."""
    import tomli_w

    return tomli_w.dumps(config.to_dict()).encode()


def _free_name(runs_dir: Path, config: RunConfig) -> str:
    """The first free name of those that are made of the data's name and a number."""
    taken = set(os.listdir(runs_dir))
    stem = "fashion" if not is_own(config.dataset, config.data_dir) else _stem_of(config.dataset, config.data_dir)
    return next(name for number in itertools.count(1) if (name := f"{stem}-{number}") not in taken)


def _stem_of(dataset: str, data_dir: str | None) -> str:
    """The name of a known set, or that of a file or folder without its ending, as far as it can be a run's name."""
    of_folder = data_dir is not None and dataset == DEFAULT_SET
    name = (
        dataset if is_named(dataset) and not of_folder else Path(data_dir if of_folder and data_dir else dataset).name
    )
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.split(".")[0]).strip("-")
    return plain[:LONGEST_STEM] or "run"


def failed_early(run: RunDirectory) -> bool:
    """Whether a run failed so early that nothing of it is worth keeping."""
    if not run.config.is_file() or run.last.exists() or run.best.exists():
        return False
    try:
        if run.events.stat().st_size > MOST_EARLY:
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    history = read_history(run.events)
    failed = history.state is not None and history.state.state == "failed"
    return failed and not len(history.steps) and not history.epochs


def clear_failed(run: RunDirectory) -> None:
    """Remove a run that failed early, unless another process has removed it, or made it anew, meanwhile.

    Raises:
        RunError: a process lives in it.
    """
    try:
        lock = RunLock(run, "serve")
    except FileNotFoundError:
        return
    try:
        if failed_early(run):
            away = make_hidden(run.path.parent, "old")
            os.rename(run.path, away)
            for _ in range(3):  # a process that looked the old path up may still create its lock file in there
                shutil.rmtree(away, ignore_errors=True)
    finally:
        lock.release()
