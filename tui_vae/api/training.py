"""Training as a function of Python: the same background process as any run's, followed to its end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tui_vae.api.run import Run
from tui_vae.cli.train import check_first, follow
from tui_vae.cli.train_reporters import LineReporter, Reporter, SilentReporter
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History
from tui_vae.runs.launch import start_training
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.runs_directory import runs_directory

Callback = Callable[[dict[str, Any]], object]
"""Is given each epoch as it ends: the `epoch` event, a line of `tui-vae train --json`, as a dictionary."""


def train(callback: Callback | None = None, *, runs_dir: str | Path | None = None, **options: Any) -> Run:
    """Train a new run in a process of its own, and return it when it has ended.

    The run is like any other: `tui-vae attach` watches and steers it meanwhile. An exception in here, of the callback
    or by Ctrl-C, stops the run after a checkpoint and goes on to the caller; if this process dies, the run goes on.

    Args:
        callback: is called at the end of each epoch; without it a line is printed.
        runs_dir: where the runs are, as for `load_run`.
        options: those of `tui-vae train`, such as `latent_dim=16`, `preset="quick"`, `name="mine"`.

    Raises:
        UserError: an option or the data will not do, or the run failed.
    """
    wanted = make_config(options)
    check_first(wanted)
    created, _ = create_run(runs_directory(runs_dir), wanted)
    directory = OpenRunDirectory(created.path)
    try:
        start_training(directory)
        _follow(directory, LineReporter(directory) if callback is None else _Caller(callback))
        return Run(RunDirectory(directory.path))
    finally:
        directory.close()


def _follow(directory: RunDirectory, report: Reporter) -> None:
    """Follow the run to its end; whatever is raised meanwhile stops it.

    Raises:
        UserError: the run failed.
    """
    try:
        follow(directory, report, ())
    except BaseException:
        if directory.is_training():  # else it has failed, and that is what was raised
            follow(directory, SilentReporter(), [signal.SIGINT])
        raise


class _Caller(SilentReporter):
    """Hands each epoch to a callback."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def on_event(self, event: ev.AnyEvent, history: History) -> None:
        if isinstance(event, ev.EpochEvent):
            self._callback(msgspec.to_builtins(event))
