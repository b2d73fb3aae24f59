"""The runs of a sweep on a Ray cluster whose nodes share the runs directory: each is a task with a share of a node."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tui_vae.cli.sweep.begin import TRAINING
from tui_vae.cli.sweep.node import Outcome, order, placed, processes_of, threads_of
from tui_vae.cli.sweep.ray_driver import (
    START_HERE,
    Broken,
    Cancel,
    Ended,
    Node,
    Nodes,
    Report,
    Request,
    Submit,
)
from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.train import request_stop
from tui_vae.cli.waiting import waiting
from tui_vae.config import RunConfig
from tui_vae.errors import UsageError, UserError
from tui_vae.runs.safe_files import cannot, open_own
from tui_vae.runs.summary import summarize

REACH, CONNECT, START = 5.0, 60.0, 120.0
"""Seconds within which an address must take a connection; then Ray must answer there, which itself tries for minutes;
or Ray must have been started here."""

END = 20.0
"""Seconds that Ray's end may take; its process is killed then, and the cluster ends its tasks."""

BEGUN_EVERY = 1.0
"""Seconds between two looks at whether a run that the cluster was told of has begun: its log grows then."""

LIVES_EVERY = 2.0
"""Seconds between two looks at whether a run that had begun has lost its machine: its process holds no lock then."""

SETTLED = 60.0
"""Seconds after the end of a run until which a network file system shows the whole log here, at the latest."""


@dataclass(frozen=True)
class Share:
    """What a run gets of a node; None: what suits it."""

    cpus: float | None = None
    gpus: float | None = None

    def of(self, wanted: RunConfig, has_gpus: bool) -> tuple[float, float]:
        """CPUs and GPUs of one run; `has_gpus`: whether any node has one."""
        cpus = self.cpus if self.cpus is not None else float(threads_of(wanted))
        if self.gpus is not None:
            return cpus, self.gpus
        return cpus, float(processes_of(wanted)) if has_gpus and wanted.device != "cpu" else 0.0


def check_ray(address: str) -> str:
    """The address to connect to, which something listens at.

    Raises:
        UserError: Ray is not installed, or nothing listens. UsageError: it is no address.
    """
    if not find_spec("ray"):
        raise UserError("--on ray needs Ray", "install it: pip install 'tui-vae[ray]'")
    address = address or os.environ.get("RAY_ADDRESS", "")
    if address in ("", "auto", "local"):
        return address or START_HERE
    found = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+)\]?:(\d{1,5})", address)
    if not found or not 0 < int(found[2]) < 1 << 16:
        raise UsageError(f"{address!r} is no address of a Ray cluster", "it is HOST:PORT or ray://HOST:PORT")
    try:
        with waiting(f"waiting up to {REACH:.0f} s for {address}"):
            socket.create_connection((found[1], int(found[2])), REACH).close()
    except OSError as error:
        raise unreachable(address, error.strerror or "it does not answer") from None
    return address


def _place(address: str) -> str:
    return "this machine" if address in (START_HERE, "auto", "local") else address


def _patience(address: str) -> float:
    return START if address == START_HERE else CONNECT


def awaited(address: str) -> str:
    """What is waited for, and for how long at most, until the cluster answers. `address`: as of `check_ray`."""
    return f"waiting up to {_patience(address):.0f} s for Ray at {_place(address)}"


def unreachable(address: str, why: str) -> UserError:
    return UserError(f"no Ray cluster can be reached at {address}: {why}",
                     "see that it runs, with `ray status` on its head node")  # fmt: skip


class QueuedStart:
    """A run that the cluster was told of, until it has begun there."""

    def __init__(self, run: SweepRun, cluster: RayCluster) -> None:
        self.run_of_sweep = run
        self.error: UserError | None = None
        self.what = f"was {summarize(run.directory).state}, goes on" if run.directory.config.is_file() else TRAINING
        self._cluster = cluster
        self._size = _size(run.directory.events)
        self._look_at = 0.0
        run.state, run.history = "queued", None

    def is_alive(self) -> bool:
        run = self.run_of_sweep
        outcome = self._cluster.outcome(run)
        if outcome is not None:
            if outcome.message:
                self.error = UserError(outcome.message, outcome.hint)
            elif outcome.state in ("waiting", "stopped") and _size(run.directory.events) == self._size:
                self.what = ""
            else:
                run.begin(None)
            return False
        if time.monotonic() < self._look_at:
            return True
        self._look_at = time.monotonic() + BEGUN_EVERY
        if _size(run.directory.events) == self._size:
            return True
        run.begin(None)
        return False


class RayRoom:
    """How many runs fit into the cluster as it is now, at least one."""

    def __init__(self, shares: Sequence[tuple[float, float]], jobs: int | None) -> None:
        self.count = 1
        self.threads: int | None = None
        self._most = min(len(shares), jobs or len(shares))
        self.set_shares(shares)

    def set_shares(self, shares: Sequence[tuple[float, float]]) -> None:
        self.cpus, self.gpus = max(each[0] for each in shares), max(each[1] for each in shares)

    def fits(self, nodes: Sequence[Node]) -> int:
        """How many of the largest runs these nodes take at once."""
        found = 0
        for node in nodes:
            limits = [int(has // needs) for has, needs in ((node.cpus, self.cpus), (node.gpus, self.gpus)) if needs]
            found += min(limits, default=self._most)
        return found

    def look(self, nodes: Sequence[Node]) -> None:
        self.count = max(1, min(self._most, self.fits(nodes)))


class RayCluster:
    """A Ray cluster, as a process of our own sees it (`ray_driver.py`)."""

    poll = 0.2
    """Seconds: the cluster's own decisions take as long."""

    def __init__(
        self,
        address: str,
        runs_dir: Path,
        name: str,
        combinations: Sequence[RunConfig],
        share: Share,
        jobs: int | None,
        asked: Sequence[int] = (),
    ) -> None:
        """`address`: as of `check_ray`. `jobs`: how many runs at once at most. `asked`: gathers signals to stop.

        Raises:
            UserError: the cluster does not answer, or the runs directory cannot be written. KeyboardInterrupt: a signal
                came before it answered.
        """
        self._runs_dir, self._group, self._share, self._jobs = runs_dir, name, share, jobs
        self._log = ray_log(runs_dir, name)
        self._outcomes: dict[int, tuple[Outcome, float]] = {}
        self._submitted: set[int] = set()
        self._cancelled: set[int] = set()
        self._queued: set[int] = set()
        """Runs that have lost their machine, and wait for another one."""
        self._look_at: dict[int, float] = {}
        self._broken: UserError | None = None
        self._nodes: list[Node] = []
        self._known: list[Node] = []
        self._at: Nodes | None = None
        """What the cluster said first."""
        self._process = self._start(address)
        self._await_answer(address, asked)
        has_gpus = any(node.gpus for node in self._nodes)
        self._shares = {str(each.name): share.of(each, has_gpus) for each in combinations}
        self.room = RayRoom(list(self._shares.values()), jobs)
        self.room.look(self._nodes)
        threading.Thread(target=self._read, daemon=True).start()

    def _start(self, address: str) -> subprocess.Popen[bytes]:
        try:
            self._runs_dir.mkdir(parents=True, exist_ok=True)
            log = open_own(self._log, os.O_WRONLY | os.O_TRUNC)
        except OSError as error:
            raise cannot("write the log of Ray", error, "choose another --runs-dir") from None
        try:
            return subprocess.Popen(  # noqa: S603  # this Python, our module, an address that was checked
                [sys.executable, "-P", "-m", "tui_vae.cli.sweep.ray_driver", address],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={"RAY_USAGE_STATS_ENABLED": "0", **os.environ},
            )  # fmt: skip
        finally:
            os.close(log)

    def _await_answer(self, address: str, asked: Sequence[int]) -> None:
        """
        Raises:
            UserError: there is none in time, or Ray cannot be used. KeyboardInterrupt: it was not waited for.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + _patience(address)
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not (answered := selector.select(self.poll)) and not asked and time.monotonic() < deadline:
                pass
        line = self._process.stdout.readline() if answered else b""
        if line:
            self._take(line)
        else:
            self._process.kill()
            self._broken = unreachable(_place(address), f"Ray does not answer there, see {self._log}")
        if asked or self._broken is not None:
            self.close()
            raise KeyboardInterrupt if asked or self._broken is None else self._broken

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(line)
        self._broken = self._broken or UserError("the Ray cluster was lost", f"see {self._log}")

    def _take(self, line: bytes) -> None:
        match msgspec.json.decode(line, type=Report):
            case Nodes(nodes) as told:
                self._nodes, self._at = nodes, self._at or told
            case Ended(number, outcome):
                self._outcomes[number] = outcome, time.monotonic()
            case Broken(message, hint):
                self._broken = UserError(message, hint or f"see {self._log}")

    def _send(self, request: Request) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, which the reader of its reports sees
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()

    # -- What a sweep asks ---------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """All are given to the cluster, which sees then how much is wanted, unless there is a limit."""
        return self._jobs is not None and len(self._submitted) >= self._jobs

    def start(self, run: SweepRun) -> QueuedStart:
        cpus, gpus = self._shares[run.name]
        self._outcomes.pop(run.number, None)
        start = QueuedStart(run, self)
        told = order(placed(run.wanted, cpus, gpus), self._runs_dir, self._group, self._log)
        self._submitted.add(run.number)
        self._send(Submit(run.number, told, cpus, gpus))
        return start

    def withdraw(self, run: SweepRun) -> None:
        if run.number not in self._cancelled:
            self._cancelled.add(run.number)
            self._send(Cancel(run.number))

    def follow(self, run: SweepRun) -> None:
        run.begin(None)

    def stop(self, run: SweepRun) -> None:
        if run.number in self._submitted:
            self.withdraw(run)
        else:
            request_stop(run.directory)

    def outcome(self, run: SweepRun) -> Outcome | None:
        """How a run that was started has ended, as soon as its log says so here, too."""
        if self._broken is not None:
            return Outcome("failed", self._broken.message, self._broken.hint)
        found, since = self._outcomes.get(run.number, (None, 0.0))
        behind = found is not None and _size(run.directory.events) < found.log_size
        return None if behind and time.monotonic() < since + SETTLED else found

    def is_training(self, run: SweepRun) -> bool:
        if run.number in self._submitted:
            return self.outcome(run) is None
        return run.directory.is_training()

    def look(self, run: SweepRun) -> None:
        if run.number in self._submitted and time.monotonic() >= self._look_at.get(run.number, 0.0):
            self._look_at[run.number] = time.monotonic() + LIVES_EVERY
            if run.directory.is_training():
                self._queued.discard(run.number)
            else:
                self._queued.add(run.number)
        if run.number in self._queued:
            run.state, run.images_per_s = "queued", None

    def failure(self, run: SweepRun) -> UserError | None:
        outcome = self.outcome(run) if run.number in self._submitted else None
        return UserError(outcome.message, outcome.hint) if outcome is not None and outcome.message else None

    def ended(self, run: SweepRun) -> None:
        self._submitted.discard(run.number)
        if run.number in self._queued and run.number in self._cancelled:
            run.state, run.error = "waiting", None  # its machine was lost, and nothing has gone wrong since
        self._queued.discard(run.number)

    def news(self, going: Sequence[SweepRun], some_wait: bool) -> Iterable[str]:
        nodes, before, self._known = self._nodes, self._known, self._nodes
        if nodes is before:
            return
        self.room.look(nodes)
        yield from self._changes(before, nodes)
        if not self.room.fits(nodes):
            yield f"no node has {_share(self.room.cpus, self.room.gpus)}, which a run needs: it waits for one that has"

    def _changes(self, before: Sequence[Node], nodes: Sequence[Node]) -> Iterator[str]:
        if not before:
            assert self._at is not None
            found, started = f"Ray at {self._at.address}", self._at.started
            where = "no Ray cluster was found, so it was started on this machine" if started else found
            has = _share(sum(node.cpus for node in nodes), sum(node.gpus for node in nodes))
            each = _share(self.room.cpus, self.room.gpus)
            yield f"{where}: {len(nodes)} node{'s' if len(nodes) > 1 else ''} with {has}, {each} for each run"
            return
        for node in before:
            if node not in nodes:
                yield f"Ray has lost the node {node.address}: its runs go on elsewhere, from their last checkpoints"
        for node in nodes:
            if node not in before:
                yield f"Ray has another node, {node.address}, with {_share(node.cpus, node.gpus)}"

    def close(self) -> None:
        """End the connection. Runs that are left stop after checkpoints, which is not waited for."""
        for pipe in (self._process.stdin, self._process.stdout if self._broken else None):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if self._submitted:
            return
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def ray_log(runs_dir: Path, name: str) -> Path:
    """Where Ray prints to, during a sweep. The name begins with a dot, so it cannot be that of a run."""
    return runs_dir / f".sweep-{name}.ray.log"


def _share(cpus: float, gpus: float) -> str:
    """`1 CPU and 0.5 GPUs`."""
    words = [f"{number:g} {what}{'' if number == 1 else 's'}" for number, what in ((cpus, "CPU"), (gpus, "GPU"))]
    return " and ".join(words if gpus else words[:1])


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
