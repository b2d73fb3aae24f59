"""Answering requests about a run that this process does not train, from its newest checkpoint."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from tui_vae.errors import UserError
from tui_vae.runs import advice, protocol
from tui_vae.runs.directory import RunDirectory, RunError, check_resumable, finished_error, read_only_error
from tui_vae.trainer.checkpoints import checkpoint_path, load_checkpoint
from tui_vae.trainer.idle_place import IdlePlace
from tui_vae.trainer.inference import Inference
from tui_vae.trainer.learner import restore_weights
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.trained_run import load_trained_run

IDLE_LIMIT = 60.0
"""Seconds after the last question that a process which only serves ends: it holds hundreds of megabytes, and a new one
answers after a few seconds."""

STILL_ASKING = 3.0
"""Seconds after the last question for which a client counts as still asking; then the process is idle."""

RELOAD_SHARE = 0.1
"""The share of the time that loading newer checkpoints may take: those of a large network have gigabytes."""


class Serving:
    """Serves a run's newest checkpoint.

    Args:
        read_only: whether the run is another user's, or trains elsewhere: newer checkpoints may come at any time, and
            this process never trains it.

    Raises:
        UserError: no checkpoint can be loaded.
    """

    def __init__(self, directory: RunDirectory, inbox: Inbox, read_only: bool) -> None:
        self._directory = directory
        self._inbox = inbox
        self._read_only = read_only
        self._loaded = self._newest()
        self._reload_at = 0.0
        self._run, self._progress = load_trained_run(directory, progress=print, chooses=False)
        self._inference = Inference(self._run, where=self._where, state=lambda: "serving")
        self._place = IdlePlace(str(self._run.device))

    def until_left(self) -> protocol.Resume | None:
        """Answer until nobody asks any more, and return None, or the request to train.

        Raises:
            UserError: the run is lost.
        """
        self._place.take()
        try:
            return self._until_left()
        finally:
            self._place.give_up()

    def _until_left(self) -> protocol.Resume | None:
        began = time.monotonic()
        while (idle := min(self._inbox.idle_seconds(), time.monotonic() - began)) < IDLE_LIMIT:
            if idle > STILL_ASKING and self._place.is_lost():
                return None
            ticket = self._inbox.wait(0.0 if self._inference.busy else 1.0)
            self._inference.advance()
            if ticket is None:
                continue
            if self._place.is_lost():
                self._place.take()  # of two runs that are looked at in turn, the one looked at last stays
            if self._read_only and not self._inference.busy:
                self._reload()
            try:
                match ticket.request:
                    case protocol.Resume() as wanted:
                        self._check_trainable(wanted)
                        ticket.answer(self._here())
                        return wanted
                    case protocol.Stop():
                        ticket.answer(self._here())
                        return None
                    case protocol.Pause() | protocol.Checkpoint() | protocol.Set():
                        hint = f"continue it with: {advice.of_run('resume', self._directory.path)}"
                        raise RunError(f"run {self._directory.name!r} is not training", hint)
                    case _:
                        self._inference.take(ticket)
            except UserError as error:
                ticket.refuse(error)
        return None

    def _check_trainable(self, wanted: protocol.Resume) -> None:
        """
        Raises:
            RunError: this process cannot train the run.
        """
        if self._read_only:
            raise read_only_error(self._directory, self._directory.why_read_only() or "lives elsewhere")
        check_resumable(self._directory)
        if self._progress.finished and not wanted.epochs:
            raise finished_error(self._directory)

    def _where(self) -> tuple[int, int]:
        return self._progress.epoch, self._progress.step

    def _here(self) -> protocol.Done:
        epoch, step = self._where()
        return protocol.Done(epoch=epoch, step=step, lr=self._run.config.lr, beta=self._progress.beta)

    def _newest(self) -> tuple[int, int, int] | None:
        """What tells the newest checkpoint from all others: every one is a new file."""
        with suppress(OSError, UserError):
            facts = os.stat(checkpoint_path(self._directory))
            return facts.st_ino, facts.st_size, facts.st_mtime_ns
        return None

    def _reload(self) -> None:
        """Load a checkpoint that has been written since; one that cannot be loaded leaves the weights as they are."""
        newest = self._newest()
        if newest == self._loaded or time.monotonic() < self._reload_at:
            return
        began, self._loaded = time.monotonic(), newest
        with suppress(UserError, RuntimeError):
            progress, tensors = load_checkpoint(checkpoint_path(self._directory))
            restore_weights(self._run.model, tensors)
            self._progress = progress
        self._reload_at = time.monotonic() + (time.monotonic() - began) / RELOAD_SHARE
