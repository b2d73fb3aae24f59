"""The trainer of a run on several devices: it holds the lock and the socket, and looks after those that train."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress

from tui_vae.errors import UserError
from tui_vae.runs import advice, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import CheckpointError, read_facts
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.runs.machines import Machines
from tui_vae.trainer.server import Inbox, Ticket
from tui_vae.trainer.several.agent import PEERS_LOST, AgentThread, Lost
from tui_vae.trainer.several.lines import Ended, Failed, Hello, Loaded, Welcome
from tui_vae.trainer.several.placement import recorded
from tui_vae.trainer.several.switchboard import Switchboard, line_folder
from tui_vae.trainer.several.vigil import Vigil

LOOK_EVERY = 0.2
"""Seconds between two looks at the processes."""


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
        vigil = Vigil(board, agent, lambda text: self._warn(text, ""))
        while agent.is_alive and not isinstance(board.outcome, Failed):
            ticket = self._inbox.wait(LOOK_EVERY)
            if ticket is not None:
                if isinstance(ticket.request, protocol.Stop) and self._machines.most > 1 and not agent.processes:
                    self._stop_waiting(board, ticket)
                    return
                board.ask(ticket)
            vigil.look()

    def _stop_waiting(self, board: Switchboard, ticket: Ticket) -> None:
        """Stop while nothing runs, as the other machines are not there: where it is, it has a checkpoint or none."""
        self._log.write(ev.StateEvent(state="stopped", reason="stopped while it waited for the other machines"))
        board.outcome = Ended(state="stopped")
        config = recorded(self._directory)
        try:
            facts = read_facts(self._directory.files.last)
            done = protocol.Done(epoch=facts["evaluated"], step=facts["step"], lr=config.lr, beta=config.beta)
        except (CheckpointError, KeyError, TypeError):
            done = protocol.Done(epoch=0, step=0, lr=config.lr, beta=config.beta)
        ticket.answer(done)

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

    def _tell_of_lost(self, lost: list[Lost], left: int) -> None:
        """Called on the agent's thread."""
        names = [each.words for each in lost if each.code != PEERS_LOST]
        self._last_words = " and ".join(names) or "a process of another machine was lost"
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
