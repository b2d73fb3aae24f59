"""`python -m tui_vae.cli.sweep.ray_driver ADDRESS`: a sweep's connection with a Ray cluster, in a process of its own.

Ray prints when and where it likes, takes signals over, and ends its process when it loses the cluster; none of that
reaches the sweep. Requests come as lines of JSON on stdin, and reports go out as such lines on the stdout that this
process was started with; what Ray prints goes to stderr. Without the sweep it ends, after it has stopped its runs.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from contextlib import suppress
from typing import Any, TextIO

import msgspec

from tui_vae.cli.sweep.node import Order, Outcome, train_here
from tui_vae.errors import UserError, first_line

START_HERE = "start"
"""In place of an address: where no cluster is found, Ray is started on this machine."""

LOOK, LOOK_AT_NODES, CANCEL_AGAIN = 0.2, 3.0, 5.0
"""Seconds between two looks at the tasks, and at the nodes; and until a task is told again that it is to stop."""

GRACE = 15.0
"""Seconds within which the runs stop after checkpoints when the sweep has gone."""

MOST_RETRIES = 100
"""How often a run begins again after its node or worker was lost. A run that fails, or whose process dies, does not."""


class Submit(msgspec.Struct, tag_field="do", tag="submit", frozen=True):
    """Train a run with this share of a node."""

    number: int
    order: Order
    cpus: float
    gpus: float


class Cancel(msgspec.Struct, tag_field="do", tag="cancel", frozen=True):
    """Stop a run after a checkpoint, or do not begin it."""

    number: int


Request = Submit | Cancel


class Node(msgspec.Struct, frozen=True):
    """A node of the cluster and what it has in all."""

    name: str
    address: str
    cpus: float
    gpus: float


class Nodes(msgspec.Struct, tag_field="is", tag="nodes", frozen=True):
    """The living nodes, at first and whenever they have changed.

    `started`: Ray was started for this sweep. `address`: of the cluster, HOST:PORT.
    """

    nodes: list[Node]
    started: bool = False
    address: str = ""


class Ended(msgspec.Struct, tag_field="is", tag="ended", frozen=True):
    """A task has ended."""

    number: int
    outcome: Outcome


class Broken(msgspec.Struct, tag_field="is", tag="broken", frozen=True):
    """Ray cannot be used, or can no longer be."""

    message: str
    hint: str = ""


Report = Nodes | Ended | Broken


def main() -> int:
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed from here on is Ray's
    driver = Driver(reports)
    try:
        driver.connect(sys.argv[1])
        driver.go_on()
    except UserError as error:
        driver.report(Broken(error.message, error.hint))
    except Exception as error:
        words = " ".join(str(error).split()) if "ersion mismatch" in str(error) else first_line(error)
        driver.report(Broken(f"Ray cannot be used: {words}"))
        raise  # for the file that holds what Ray prints
    return 0


class Driver:
    """The tasks of a sweep in a Ray cluster."""

    def __init__(self, reports: TextIO) -> None:
        self._reports = reports
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._tasks: dict[Any, int] = {}
        """The number of its run for each task's reference."""
        self._cancelled: dict[Any, float] = {}
        """When each task that is to stop was last told so."""
        self._nodes: list[Node] = []
        self._started = False
        self._address = ""

    def report(self, what: Report) -> None:
        with suppress(OSError):  # the sweep has gone
            self._reports.write(msgspec.json.encode(what).decode() + "\n")
            self._reports.flush()

    def connect(self, address: str) -> None:
        """
        Raises:
            UserError, Exception: that is not possible.
        """
        import ray

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address != START_HERE:
            context = ray.init(address=address, **options)
        else:
            try:
                context = ray.init(address="auto", **options)
            except ConnectionError:
                from tui_vae.core.core_limits import usable_cores

                self._started = True
                context = ray.init(address="local", num_cpus=usable_cores().cores, include_dashboard=False, **options)
        self._address = getattr(context, "address_info", {}).get("gcs_address") or address  # ray:// tells of none
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._requests.put(msgspec.json.decode(line, type=Request))
        self._requests.put(None)

    def go_on(self) -> None:
        """Do what is requested until the sweep has gone.

        Raises:
            Exception: the cluster is lost.
        """
        look_at_nodes = 0.0
        while True:
            if time.monotonic() >= look_at_nodes:
                look_at_nodes = time.monotonic() + LOOK_AT_NODES
                self._look_at_nodes()
            self._look_at_tasks()
            try:
                request = self._requests.get(timeout=LOOK)
            except queue.Empty:
                continue
            if request is None:
                self._end()
                return
            if isinstance(request, Submit):
                self._submit(request)
            else:
                self._cancelled |= {task: 0.0 for task, number in self._tasks.items() if number == request.number}

    def _end(self) -> None:
        """Stop what the sweep has left, as a hang-up or `kill -9` of it does, and what was started here."""
        import ray

        self._cancelled = dict.fromkeys(self._tasks, 0.0)
        deadline = time.monotonic() + GRACE
        while self._tasks and time.monotonic() < deadline:
            self._look_at_tasks()
            time.sleep(LOOK)
        ray.shutdown()

    def _submit(self, request: Submit) -> None:
        import ray

        name = str(request.order.config["name"])
        task = ray.remote(train_here).options(
            num_cpus=request.cpus, num_gpus=request.gpus, max_retries=MOST_RETRIES, name=name
        )
        self._tasks[task.remote(request.order)] = request.number

    def _look_at_tasks(self) -> None:
        import ray

        for task, told in self._cancelled.items():
            if time.monotonic() > told + CANCEL_AGAIN:
                self._cancelled[task] = time.monotonic()
                ray.cancel(task)
        if not self._tasks:
            return
        ended, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        for task in ended:
            self._cancelled.pop(task, None)
            self.report(Ended(self._tasks.pop(task), _outcome(task)))

    def _look_at_nodes(self) -> None:
        import ray

        nodes = []
        for each in ray.nodes():  # type: ignore[no-untyped-call]
            if each["Alive"]:
                has = each["Resources"]
                nodes.append(Node(each["NodeID"], each["NodeManagerAddress"], has.get("CPU", 0.0), has.get("GPU", 0.0)))
        nodes.sort(key=lambda node: node.name)
        if nodes != self._nodes:
            self._nodes = nodes
            self.report(Nodes(nodes, self._started, self._address))


def _outcome(task: Any) -> Outcome:
    import ray

    try:
        found: Outcome = ray.get(task)
    except ray.exceptions.TaskCancelledError:
        return Outcome("stopped")
    except ray.exceptions.OutOfMemoryError:
        return Outcome("failed", "its node has too little memory", "give each run more of a node with --cpus")
    except ray.exceptions.RayError as error:
        if "No module named 'tui_vae" in str(error):
            return Outcome("failed", "tui-vae is not installed on a node of the cluster",
                           "install the same version for the Python that Ray has there")  # fmt: skip
        return Outcome("failed", f"Ray gave it up: {first_line(error)}")
    return found


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # whatever threads of Ray are left
