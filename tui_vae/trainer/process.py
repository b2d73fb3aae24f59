"""A run's process from its start to its end: load, train or serve, and log how it ended, whatever happens."""

from __future__ import annotations

import math
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.runs.machines import Machines
from tui_vae.runs.newer import check_not_newer
from tui_vae.runs.safe_files import cannot
from tui_vae.trainer.end_commands import run_end_commands
from tui_vae.trainer.explain import explain
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.spare_cores import SpareCores
from tui_vae.trainer.trackers import start_trackers
from tui_vae.trainer.turn import wait_for_turn
from tui_vae.trainer.watch import RunLost

if TYPE_CHECKING:
    from tui_vae.trainer.warm_start import WarmStart

FAREWELL = 5.0
"""Seconds for which a process that cannot serve tells clients why, such as the one that started it."""


class RunProcess:
    """The process of one run. It holds the run's lock; `read_only`: one of its own, and it only ever serves.

    warm_start: what the process has done before it knew the run, if it has waited for it. machines: those that
        train it.
    """

    def __init__(
        self, directory: RunDirectory, lock: RunLock, inbox: Inbox, leave_core: bool = False, read_only: bool = False,
        warm_start: WarmStart | None = None, machines: Machines | None = None,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._lock = lock
        self._inbox = inbox
        self._leave_core = leave_core
        self._read_only = read_only
        self._warm_start = warm_start
        self._machines = machines or Machines()
        self._loaded_here = False
        self._loaded = directory.files.last.exists()
        """Whether there is something of the run to come back to."""

    def run(self, serve_first: bool, wanted: protocol.Resume, after: Path | None = None) -> int:
        """Train as `wanted`; with `serve_first`, serve until a client asks to train or none is left. Return the exit
        code.

        `after`: the directory of a run that is to end first.
        """
        if serve_first:
            try:
                asked = self._serve()
            except RunLost as error:
                print(error, file=sys.stderr)
                return error.exit_code
            except UserError as error:
                return self._refuse_all(error)
            if asked is None:
                return 0
            wanted = asked
            self._lock.change_mode("train")
        try:
            check_not_newer(self._directory)  # before the log of a finished run would say that it has failed
            log = ev.EventLog(self._directory.files.events)
        except UserError as error:
            return self._refuse_all(error)
        except OSError as error:
            return self._refuse_all(cannot("write the event log", error))
        try:
            if after is not None and not wait_for_turn(self._directory, log, self._inbox, after):
                return 0
            state = self._train(log, wanted)
        except RunLost as error:
            print(error, file=sys.stderr)  # and not in the log, which may be another process's by now
            return error.exit_code
        except UserError as error:
            return self._fail(log, error, refused=not self._loaded)
        except Exception as error:
            traceback.print_exc()
            return self._fail(log, explain(error, self._directory))
        run_end_commands(self._directory, state)
        return 0 if state in ("finished", "stopped") else 1

    def give_up(self, error: Exception, trains: bool) -> int:
        """Say why the process cannot even begin, in the log where it `trains`; return the exit code."""
        explained = explain(error, self._directory)
        print(explained, file=sys.stderr)
        if trains:
            with suppress(UserError, OSError):
                self._fail(ev.EventLog(self._directory.files.events), explained)
        return explained.exit_code

    def _train(self, log: ev.EventLog, wanted: protocol.Resume) -> ev.RunState:
        def loading(what: str) -> None:
            log.write(ev.StateEvent(state="loading", reason=what))

        offset = log.size()
        loading("importing PyTorch")
        spare = self._warm_start.finish() if self._warm_start else SpareCores()
        import torch  # noqa: F401  # which takes long enough to see how busy the cores are

        from tui_vae.trainer.several.placement import place, recorded

        described = recorded(self._directory)
        placement = place(described, wanted.devices, is_new=not self._loaded)
        if placement.warning:
            log.write(ev.WarningEvent(message=placement.warning, hint=""))
        if placement.devices > 1 or self._machines.most > 1:
            return self._train_on_several(log, wanted, placement.devices, spare.count(), offset)

        from tui_vae.core.devices import Cores
        from tui_vae.trainer.run_setup import set_up_training
        from tui_vae.trainer.training import Training

        cores = Cores(leave_one=self._leave_core, spare=spare.count())
        setup = set_up_training(self._directory, log, wanted.epochs, loading, cores, devices=1)
        self._loaded = True
        if setup.run.config.log:
            start_trackers(self._directory, setup.run.config.log, offset)
        first = protocol.Set(lr_factor=wanted.lr_factor) if wanted.lr_factor else None
        return Training(self._directory, log, self._inbox, setup, self._lock.announce_trouble).run(first)

    def _train_on_several(
        self, log: ev.EventLog, wanted: protocol.Resume, devices: int, spare: float, offset: int
    ) -> ev.RunState:
        """Train with a process for each device of this machine, which this process looks after."""
        from tui_vae.config.own_code import allowed_here
        from tui_vae.trainer.several.lines import Loaded, Welcome
        from tui_vae.trainer.several.supervisor import Supervisor

        def loaded(what: Loaded) -> None:
            if what.log and not self._loaded_here:
                start_trackers(self._directory, what.log, offset)
            self._loaded = self._loaded_here = True

        if self._machines.most > 1:
            log.write(ev.StateEvent(state="loading", reason="waiting for the other machines"))
        welcome = Welcome(
            leads=True, devices=devices, leave_core=self._leave_core, trust=allowed_here(),
            spare=None if math.isinf(spare) else spare,
        )  # fmt: skip
        return Supervisor(
            self._directory, log, self._inbox, self._lock, wanted, welcome, devices, self._machines, loaded
        ).run()

    def _serve(self) -> protocol.Resume | None:
        """Answer from the newest checkpoint. Return the request to go on training, or None when no client is left.

        Raises:
            UserError: no checkpoint can be loaded.
        """
        from tui_vae.trainer.serving import Serving

        return Serving(self._directory, self._inbox, self._read_only).until_left()

    def _fail(self, log: ev.EventLog, error: UserError, refused: bool = False) -> int:
        error = self._explained(error)
        log.write(ev.ErrorEvent(message=error.message, hint=error.hint, refused=refused))
        log.write(ev.StateEvent(state="failed", reason=error.message))
        for ticket in self._inbox.pending():
            ticket.refuse(error)
        run_end_commands(self._directory, "failed", error.message)
        return error.exit_code

    def _explained(self, error: UserError) -> UserError:
        """The error with the directory's path as users know it, not as this process holds the directory open.

        What is behind it, such as an exception in a model of the user's own, has its traceback in trainer.log.
        """
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        error.message, error.hint = (
            text.replace(str(self._directory.files.path), str(self._directory.path))
            for text in (error.message, error.hint)
        )
        return error

    def _refuse_all(self, error: UserError) -> int:
        """Answer every request of the next moments with the reason why nothing can be served."""
        error = self._explained(error)
        print(error, flush=True)
        deadline = time.monotonic() + FAREWELL
        while time.monotonic() < deadline:
            ticket = self._inbox.wait(0.5)
            if ticket:
                ticket.refuse(error)
        return error.exit_code
