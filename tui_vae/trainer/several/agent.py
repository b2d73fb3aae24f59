"""torchrun's agent in this process: it starts the processes of this machine, and starts all again where one is lost.

It runs on a thread of its own. On the main thread it would install its own handlers of signals, of which that of SIGHUP
ends everything with the terminal.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import psutil
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from tui_vae.runs.machines import Machines

WORKER = "tui_vae.trainer.several.worker"

PEERS_LOST = 76
"""Exit code of a process that ends only because another one is gone."""

ROUND = "TUI_VAE_ROUND"
"""The variable in the processes' environment that tells one start of all of them from the next."""

MEET_LIMIT = 900
"""Seconds within which the machines of a run must find each other: a cluster starts them at different times."""


class Lost(NamedTuple):
    """A process that is gone. code: its exit code; below 0 the signal that ended it, as of `subprocess`."""

    rank: int
    pid: int
    code: int

    @property
    def words(self) -> str:
        """Who it was and how it ended."""
        return f"rank {self.rank} (process {self.pid}) {_how(self.code)}"


def causes(lost: list[Lost]) -> list[Lost]:
    """Those among the lost that are not lost because of another one, if there are any."""
    return [each for each in lost if each.code != PEERS_LOST] or lost


class _Over(Exception):
    """Nobody wants these processes any more."""


class Agent(LocalElasticAgent):
    """Starts and watches over the processes. `lost` is told of each failure, and how many restarts are left; not once
    `is_done` says that all has been done."""

    def __init__(
        self, spec: WorkerSpec, logs: DefaultLogsSpecs, lost: Callable[[list[Lost], int], None],
        is_done: Callable[[], bool],
    ) -> None:  # fmt: skip
        super().__init__(spec=spec, logs_specs=logs)
        self._lost, self._is_done = lost, is_done
        self._is_static = spec.rdzv_handler.get_backend() == "static"
        self._ended = threading.Event()
        self._healthy: set[int] = set()
        """Those that lived when one was found to be lost."""
        self.processes: dict[int, int] = {}
        """Rank → its process, of those that were started last and may live."""
        self.has_met = False
        """Whether the machines have found each other once."""

    def end(self) -> None:
        """Have all processes of this machine killed; what they have not written by now is not wanted."""
        self._ended.set()

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        """As the agent's, with a word that all processes of this start have in common and no others.

        The store in which they then look for each other may be that of the start before (torch 2.14), and still hold
        the addresses of the dead.
        """
        assert worker_group.store is not None
        self.has_met = True
        key = f"{ROUND}/{worker_group.spec.max_restarts - self._remaining_restarts if self._is_static else 0}"
        if worker_group.group_rank == 0:
            worker_group.store.set(key, uuid.uuid4().hex)
        os.environ[ROUND] = worker_group.store.get(key).decode()  # which they inherit
        started: dict[int, Any] = super()._start_workers(worker_group)
        self.processes = {worker_group.workers[local].global_rank: pid for local, pid in started.items()}
        context = self._pcontext
        assert context is not None
        close = context.close

        def kill(death_sig: signal.Signals | None = None, timeout: int = 30) -> None:
            # Of those that wait for a lost one PyTorch would take half a minute to see that they ignore SIGTERM.
            self._healthy = {pid for pid in started.values() if _is_healthy(pid)}
            close(signal.SIGKILL, timeout)

        context.close = kill
        return started

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        if self._ended.is_set():
            raise _Over
        result: RunResult = super()._monitor_workers(worker_group)
        if result.state != WorkerState.HEALTHY:
            self.processes = {}
        if result.state in (WorkerState.FAILED, WorkerState.UNHEALTHY):
            if self._is_done():
                raise _Over  # somebody was slow to end after all was done
            found = [Lost(rank, each.pid, each.exitcode) for rank, each in sorted(result.failures.items())]
            lost = [each for each in found if each.pid not in self._healthy] or found
            self._lost(causes(lost), self._remaining_restarts)
        return result

    def _shutdown(self, *arguments: Any, **settings: Any) -> None:
        # A process that waits for a lost one, or is stopped, ends in no other way; and every file of theirs is whole.
        for worker in self._worker_group.workers:
            if isinstance(worker.id, int):
                with suppress(OSError):
                    os.kill(worker.id, signal.SIGKILL)
        super()._shutdown(*arguments, **settings)


def _is_healthy(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _how(code: int) -> str:
    if code == PEERS_LOST:
        return "has lost another process of the run"
    if code >= 0:
        return f"ended with code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


class AgentThread:
    """An agent at work on a thread of its own, with `count` processes on this machine.

    Attributes:
        result: what became of it, once it is over; None where it was ended, or an exception was raised.
        error: that exception.
    """

    def __init__(
        self, machines: Machines, count: int, line: str, folder: str, lost: Callable[[list[Lost], int], None],
        is_done: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`line`: the socket at which processes say hello. `folder`: for what they leave behind."""
        self._machines, self._count, self._line, self._folder = machines, count, line, folder
        self._lost, self._is_done = lost, is_done
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        self._agent: Agent | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def processes(self) -> dict[int, int]:
        """Rank → its process on this machine, of those that were started last and may live."""
        return self._agent.processes if self._agent is not None else {}

    @property
    def has_met(self) -> bool:
        """Whether the machines have found each other once."""
        return self._agent is not None and self._agent.has_met

    @property
    def succeeded(self) -> bool:
        """Whether all processes have done what was to be done."""
        return self.result is not None and not self.result.is_failed()

    def wait(self, seconds: float) -> None:
        """Wait until it is over, or so many seconds."""
        self._thread.join(seconds)

    def end(self) -> None:
        """Kill the processes, and wait until they are gone. One that waits for other machines is left behind."""
        self._is_over = True
        if self._agent is not None:
            self._agent.end()
            self._thread.join((10 if self.processes else 1) if self._machines.most > 1 else None)

    def _run(self) -> None:
        # It warns that signals are not handled, which this process does better, and tells of what is told in our words.
        logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
        logging.getLogger("torch.distributed.elastic.rendezvous.dynamic_rendezvous").setLevel(logging.ERROR)
        try:
            self._agent = Agent(self._spec(), DefaultLogsSpecs(log_dir=self._folder), self._lost, self._is_done)
            if self._is_over:
                self._agent.end()
            handler = self._agent.get_worker_group().spec.rdzv_handler
            try:
                self.result = self._agent.run()
            finally:
                handler.shutdown()
        except _Over:
            pass
        except BaseException as error:
            self.error = error

    def _spec(self) -> WorkerSpec:
        machines = self._machines
        alone = machines.most == 1
        endpoint = machines.rdzv_endpoint or ("localhost:0" if alone else "")
        host, _, port = endpoint.rpartition(":")
        settings: dict[str, Any] = {"join_timeout": MEET_LIMIT, "read_timeout": MEET_LIMIT}
        if machines.rdzv_backend == "c10d":
            settings["is_host"] = machines.node_rank == 0
        elif machines.rdzv_backend == "static":
            settings["rank"] = machines.node_rank
        is_near = alone or host in ("localhost", "127.0.0.1", socket.gethostname())
        static = machines.rdzv_backend == "static"
        return WorkerSpec(
            role="rank", local_world_size=self._count, entrypoint=sys.executable,
            args=("-P", "-m", WORKER, self._line, str(os.getpid())),
            rdzv_handler=get_rendezvous_handler(RendezvousParameters(
                backend=machines.rdzv_backend, endpoint=endpoint, run_id=machines.rdzv_id or "tui-vae",
                min_nodes=machines.fewest, max_nodes=machines.most,
                local_addr="localhost" if is_near and not static else None, **settings,
            )),
            max_restarts=machines.max_restarts, monitor_interval=0.1,
            master_addr=host if static else None, master_port=int(port) if static else None,
            local_addr="localhost" if is_near and not static else None,
        )  # fmt: skip
