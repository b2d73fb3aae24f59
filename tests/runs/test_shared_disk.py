"""Two hosts with one disk that keeps a lock to the host that took it: they never train one run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.injection import on_another_host
from tests.support.processes import wait_until
from tui_vae.config import make_config
from tui_vae.runs import lock as lock_module
from tui_vae.runs import protocol
from tui_vae.runs.client import NoProcess, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.lock import RunLock

HOLDS = """
import sys
from pathlib import Path
from tui_vae.errors import UserError
from tui_vae.runs.lock import RunLock
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.trainer.server import Inbox
from tui_vae.trainer.watch import DirectoryWatch
directory, inbox = OpenRunDirectory(Path(sys.argv[1])), Inbox()
try:
    lock = RunLock(directory, "train")
    DirectoryWatch(directory, lock, inbox).start()
    print("holds", flush=True)
    while True:
        inbox.wait(0.1)
except UserError as error:
    print(error, flush=True)
"""


@pytest.fixture
def directory(own_runs: Path) -> RunDirectory:
    return create_run(own_runs, make_config({}))[0]


def holder_on(host: str, directory: RunDirectory, site: Path, watched: float = 3.0) -> "subprocess.Popen[str]":
    environment = on_another_host(site / host, host, watched)
    code = [sys.executable, "-c", HOLDS, str(directory.path)]
    return subprocess.Popen(code, env=environment, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def test_a_run_that_another_host_trains_is_watched_and_not_trained(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "WATCHED_FOR", 1.0)
    with holder_on("node7", directory, tmp_path) as process:
        try:
            assert said(process) == "holds\n"
            holder = directory.holder()
            assert directory.is_training() and holder is not None and holder.elsewhere == "node7"
            with pytest.raises(NoProcess, match="lives on host 'node7'"):
                request(directory, protocol.Stop(), protocol.Done)
            os.utime(directory.lock, (1, 1))  # the clocks differ: its beats tell all the same
            assert directory.holder() is None
            monkeypatch.setattr(lock_module, "WATCHED_FOR", 5.0)
            with pytest.raises(RunError, match="already has a living process on host 'node7'") as error:
                RunLock(directory, "train")
            assert "go on there, or stop it there first" in error.value.hint
            # It stands still, and seems dead: the run goes on here, and there once it has awoken it ends.
            os.kill(process.pid, signal.SIGSTOP)
            monkeypatch.setattr(lock_module, "WATCHED_FOR", 0.5)
            lock = RunLock(directory, "train")
            os.kill(process.pid, signal.SIGCONT)
            assert f"lives on host {os.uname().nodename!r} now; this process ends" in said(process)
            assert process.wait(10) == 0
            holder = directory.holder()
            assert holder is not None and holder.pid == os.getpid()
            lock.release()
        finally:
            process.kill()


def test_of_two_hosts_that_begin_at_once_one_trains(directory: RunDirectory, tmp_path: Path) -> None:
    processes = [holder_on(host, directory, tmp_path, watched=1.5) for host in ("node7", "node8")]
    try:
        wait_until(lambda: any(process.poll() is not None for process in processes), timeout=20)
        time.sleep(1.5)
        living = [process for process in processes if process.poll() is None]
        assert len(living) == 1
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_process_that_ends_says_so_and_nobody_waits_for_its_beats(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunLock(directory, "train").release()
    with holder_on("node7", directory, tmp_path, watched=100) as process:
        assert said(process) == "holds\n"
        process.kill()
    monkeypatch.setattr(lock_module, "WATCHED_FOR", 0.3)
    began = time.monotonic()
    RunLock(directory, "train").release()
    assert time.monotonic() - began >= 0.3  # that one was killed
