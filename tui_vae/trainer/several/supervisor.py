"""The trainer of a run on several devices: it holds the lock and the socket, and looks after those that train."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from tui_vae.errors import UserError
from tui_vae.runs import advice, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.runs.machines import Machines
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.several.agent import AgentThread, Lost
from tui_vae.trainer.several.lines import Ended, Failed, Hello, Loaded, Welcome
from tui_vae.trainer.several.placement import limit_of
from tui_vae.trainer.several.switchboard import Seat, Switchboard, line_folder

LOOK_EVERY = 0.2
"""Seconds between two looks at the processes."""

SILENCE_LIMIT, STEP_LIMIT = 60.0, 900.0
"""Seconds without a beat, and seconds of one step, after which a process counts as hung. `TUI_VAE_HANG_LIMIT` in the
environment sets the first, and the second as 15 times that. A beat comes each second; a step takes as long only where a
GPU's or a user's own code never returns."""


class RunFailed(UserError):
    """What the leader could not do; `exit_code` is that of its error."""


class Supervisor:
    """Trains a run with `count` processes on this machine, and others elsewhere if `machines` says so."""

    def __init__(
        self, directory: RunDirectory, log: ev.EventLog, inbox: Inbox, lock: RunLock, wanted: protocol.Resume,
        welcome: Welcome, count: int, machines: Machines, on_loaded: Callable[[Loaded], None],
    ) -> None:  # fmt: skip
        """
        welcome: what the leader is told, but for what `wanted` says. on_loaded: called each time that it has loaded the
        run.
        """
        self._directory, self._log, self._inbox, self._lock = directory, log, inbox, lock
        self._wanted, self._welcome_of_leader = wanted, welcome
        self._count, self._machines, self._on_loaded = count, machines, on_loaded
        self._planned: int | None = None
        self._began_from = self._last_checkpoint()
        self._hung: set[int] = set()
        self._silence_limit = limit_of("TUI_VAE_HANG_LIMIT", SILENCE_LIMIT)
        self._step_limit = self._silence_limit * STEP_LIMIT / SILENCE_LIMIT
        self._last_words = ""

    def run(self) -> ev.RunState:
        """Train to the end; return the final state, which the leader has logged.

        Raises:
            UserError: the run failed; or it is lost (`RunLost`).
        """
        folder = line_folder()
        board = agent = None
        try:
            board = Switchboard(folder, self._welcome, self._lock.descriptor, self._lock.announce_trouble, self._loaded)
            agent = AgentThread(
                self._machines, self._count, board.path, folder, self._tell_of_lost, lambda: board.outcome is not None
            )
            self._attend(board, agent)
            agent.end()
            return self._end(board, agent)
        except BaseException as error:
            if board is not None and isinstance(error, UserError):
                board.refuse_all(error)
            raise
        finally:
            if agent is not None:
                agent.end()
            if board is not None:
                board.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _attend(self, board: Switchboard, agent: AgentThread) -> None:
        """Hand over requests and look after the processes until they have ended, or nothing more is to come."""
        looked_at = time.monotonic()
        while agent.is_alive and not isinstance(board.outcome, Failed):
            ticket = self._inbox.wait(LOOK_EVERY)
            if ticket is not None:
                board.ask(ticket)
            # A machine that slept, or a trainer that was stopped with its processes, accuses nobody.
            passed, looked_at = min(time.monotonic() - looked_at, 1.0), time.monotonic()
            for seat in board.seats():
                seat.silent += passed
                if not seat.hung and (why := self._why_hung(seat)):
                    seat.hung = True
                    self._end_hung(seat, why)

    def _end(self, board: Switchboard, agent: AgentThread) -> ev.RunState:
        outcome = board.outcome
        if isinstance(outcome, Ended):
            return "stopped" if outcome.state == "stopped" else "finished"
        go_on = f"go on with: {advice.of_run('resume', self._directory.path)}"
        if isinstance(outcome, Failed):
            error = RunFailed(outcome.message, outcome.hint)
            error.exit_code = outcome.exit_code
        elif agent.error is not None:
            error = RunFailed(f"the run's processes cannot be started: {agent.error}", f"see {self._directory.log}")
        else:
            times = (
                f"after {self._machines.max_restarts} restarts" if self._machines.max_restarts else "with no restart"
            )
            error = RunFailed(f"{self._last_words or 'a process was lost'}, {times}", go_on)
        board.refuse_all(error)
        raise error

    def _welcome(self, hello: Hello) -> Welcome:
        if hello.local != 0 or self._machines.node_rank != 0:
            return Welcome(leads=False)
        told = self._welcome_of_leader
        more = self._wanted.epochs if self._planned is None else max(0, self._planned - self._planned_by_checkpoint())
        return Welcome(
            leads=True, directory=str(self._directory.path), epochs=more,
            lr_factor=self._wanted.lr_factor if self._last_checkpoint() == self._began_from else None,
            devices=told.devices, leave_core=told.leave_core, spare=told.spare, trust=told.trust,
        )  # fmt: skip

    def _last_checkpoint(self) -> tuple[int, float] | None:
        """The step and the scale of the learning rate of the last checkpoint; None where there is none. A factor of
        this start is in every later one, and in none before."""
        try:
            facts = read_facts(self._directory.files.last)
            return facts["step"], facts["lr_scale"]
        except (CheckpointError, KeyError, TypeError):
            return None

    def _planned_by_checkpoint(self) -> int:
        """Epochs that the last checkpoint plans, or the run's description where there is none."""
        try:
            return sum(read_facts(self._directory.files.last)["segments"])
        except (CheckpointError, KeyError, TypeError):
            return self._directory.read_config().epochs

    def _loaded(self, loaded: Loaded) -> None:
        self._planned = max(loaded.planned, self._planned or 0)
        self._on_loaded(loaded)

    def _why_hung(self, seat: Seat) -> str:
        if seat.silent > self._silence_limit:
            return f"has not answered for {self._silence_limit:g} s"
        if seat.busy > self._step_limit:
            return f"has been at one step for {self._step_limit:g} s"
        return ""

    def _end_hung(self, seat: Seat, why: str) -> None:
        rank, pid = seat.hello.rank, seat.hello.pid
        self._hung.add(pid)
        self._warn(f"rank {rank} (process {pid}) {why}, and is ended", "")
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)

    def _tell_of_lost(self, lost: list[Lost], left: int) -> None:
        """Called on the agent's thread."""
        names = [f"rank {each.rank} (process {each.pid}) {each.how}" for each in lost]
        self._last_words = " and ".join(names)
        if left:
            most = self._machines.max_restarts
            self._warn(
                f"{self._last_words}: all go on from the last checkpoint", f"restart {most - left + 1} of {most}"
            )

    def _warn(self, message: str, hint: str) -> None:
        with suppress(OSError):  # a log of its own: several threads come here, and the leader writes as well
            log = ev.EventLog(self._directory.files.events)
            log.write(ev.WarningEvent(message=message, hint=hint))
            log.close()
        print(message, file=sys.stderr, flush=True)
