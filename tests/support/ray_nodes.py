"""A Ray cluster on this machine: `python -m tests.support.ray_nodes NODES`, a head and nodes with one CPU each.

It prints the cluster's address. `kill N` on stdin kills the node N as a lost machine would; it ends with its stdin.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

LOST = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""How soon a node counts as lost: within seconds, as no test should wait for longer."""


def main() -> None:
    printed = os.dup(1)
    os.dup2(2, 1)
    from ray.cluster_utils import Cluster

    # As in a cluster that a service or a script has started in the background.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": LOST}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # Addresses of their own: the sweep connects with a node at its own, which is to be the head, as none kills that.
    nodes = [
        cluster.add_node(num_cpus=1, wait=False, node_ip_address=f"127.0.0.{at + 2}") for at in range(int(sys.argv[1]))
    ]
    cluster.wait_for_nodes()
    os.write(printed, f"{cluster.address}\n".encode())
    for line in sys.stdin:
        cluster.remove_node(nodes[int(line.split()[1])], allow_graceful=False)
    cluster.shutdown()  # type: ignore[no-untyped-call]


class Nodes:
    """A cluster that lives."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.address = process.stdout.readline().strip()
        assert self.address, "Ray did not start"

    def kill(self, number: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"kill {number}\n")
        self._process.stdin.flush()


@contextmanager
def ray_nodes(count: int) -> Iterator[Nodes]:
    """A cluster for as long as the block lasts."""
    folder = tempfile.mkdtemp(prefix="tv-", dir="/tmp")  # short: the paths of its sockets have at most 107 bytes
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ray_nodes", str(count)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder},
    )  # fmt: skip
    try:
        yield Nodes(process)
    finally:
        process.communicate(timeout=60)  # which closes its stdin first
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
