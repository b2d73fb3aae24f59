"""Who holds a run: told by its lock, which strangers can neither take nor forge into advice."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.processes import wait_until
from tests.support.users import as_nobody
from tui_vae.config import make_config
from tui_vae.runs import client, launch, protocol
from tui_vae.runs.client import NoProcess, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.holder import HOLDER_LENGTH, Holder
from tui_vae.runs.launch import signal_trainer
from tui_vae.runs.lock import RunLock


@pytest.fixture
def directory(own_runs: Path) -> RunDirectory:
    return create_run(own_runs, make_config({}))[0]


@pytest.fixture
def shared() -> Iterator[RunDirectory]:
    """A run where every user can read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield create_run(Path(folder) / "runs", make_config({}))[0]


def forge(directory: RunDirectory, holder: Holder) -> int:
    """The descriptor of a lock that is held, with a content of somebody's choice."""
    file = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.pwrite(file, msgspec.json.encode(holder).ljust(HOLDER_LENGTH), 0)
    return file


def test_a_lock_is_private_even_where_an_older_version_made_it(directory: RunDirectory) -> None:
    directory.lock.touch(0o644)
    RunLock(directory, "serve").release()
    assert stat.S_IMODE(directory.lock.stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_who_may_only_read_a_run_sees_that_it_lives_and_cannot_block_it(shared: RunDirectory) -> None:
    lock = RunLock(shared, "train")
    look = "print(run.is_training())"
    assert as_nobody(look, shared) == "True"
    lock.release()
    assert as_nobody(look, shared) == "False"
    assert as_nobody("print(run.living().not_own)", shared) == "belongs to user root"
    block = """
for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
    try:
        fcntl.flock(os.open(run.lock, flags), fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked")
    except PermissionError:
        pass
"""
    assert as_nobody(block, shared) == ""


@pytest.mark.parametrize("pid", [-1, 0, 1, pytest.param(os.getpid(), id="our own"), 2**22 + 1])
def test_a_number_that_is_no_trainer_is_neither_advised_nor_signalled(
    directory: RunDirectory, pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REACH_LIMIT", 0.1)
    file = forge(directory, Holder(pid=pid, mode="train", socket="/nowhere"))
    with pytest.raises(NoProcess) as error:
        request(directory, protocol.Pause(), protocol.Done)
    assert "kill" not in str(error.value) and "lives" in str(error.value)
    assert directory.process() is None
    assert not signal_trainer(directory, signal.SIGCONT)
    os.close(file)


def test_a_run_that_lives_on_another_host_is_said_to_live_there(directory: RunDirectory) -> None:
    file = forge(directory, Holder(pid=os.getpid(), mode="train", socket="/nowhere", host="node7", boot="another"))
    with pytest.raises(NoProcess, match="lives on host 'node7'") as error:
        request(directory, protocol.Pause(), protocol.Done)
    assert "kill" not in str(error.value)
    with pytest.raises(RunError, match="living process on host 'node7'"):
        RunLock(directory, "train")
    living = directory.living()  # questions about the model are answered here, by a process apart
    assert living.read_only and living.server is None and living.not_own == ""
    os.close(file)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_living_run_of_another_user_is_watched_and_not_steered(shared: RunDirectory) -> None:
    lock = RunLock(shared, "train")
    code = """
living = run.living()
assert living.holder.mode == "train" and living.read_only and living.server is None
for message in (protocol.Pause(), protocol.Stop(), protocol.Set(lr=1e-3)):
    try:
        client.request(run, message, protocol.Done)
    except ReadOnlyRun as error:
        print(error)
"""
    said = as_nobody(code, shared).splitlines()
    assert len(said) == 3
    assert said[0].startswith(f"run {shared.name!r} belongs to user root: you may look at it, not change it")
    assert "copy it, all but its lock, and change the copy: cp -r" in said[0]
    lock.release()


def test_resume_waits_for_a_process_that_ends(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock still and answers nobody any more."""
    ends = """
import sys, time
from pathlib import Path
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1])), "train")
print("ends", flush=True)
time.sleep(0.5)
"""
    started: list[RunDirectory] = []
    monkeypatch.setattr(launch, "start_training", lambda run, *options, **more: started.append(run))
    with subprocess.Popen([sys.executable, "-c", ends, str(directory.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        launch.continue_training(directory)
    assert started == [directory]


def test_resume_reaches_a_process_that_was_quicker(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `train` has made the run and starts its process in this moment."""
    taken: list[RunLock] = []
    asked: list[protocol.AnyRequest] = []

    def start(run: RunDirectory, *options: object, **more: object) -> None:
        taken.append(RunLock(run, "train"))
        raise launch.Forestalled("another was quicker")

    monkeypatch.setattr(launch, "start_training", start)
    monkeypatch.setattr(launch, "request", lambda run, message, reply: asked.append(message))
    launch.continue_training(directory, 2)
    taken[0].release()
    assert asked == [protocol.Resume(epochs=2)]


def test_a_run_can_be_taken_however_often_others_ask_who_holds_it(directory: RunDirectory) -> None:
    RunLock(directory, "serve").release()
    code = """
import sys
from pathlib import Path
from tui_vae.runs.directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]))
print("asks", flush=True)
while True:
    run.holder()
"""
    readers = [
        subprocess.Popen([sys.executable, "-c", code, str(directory.path)], stdout=subprocess.PIPE) for _ in range(4)
    ]
    try:
        for reader in readers:
            assert reader.stdout and reader.stdout.readline()
        for _ in range(20):
            RunLock(directory, "train").release()
            time.sleep(0.002)
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    wait_until(lambda: directory.holder() is None)


def test_a_lock_that_is_no_text_counts_as_held_by_somebody(directory: RunDirectory) -> None:
    file = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    for data in (b'{"pid":17,"mode":"\xfftrain"}', b'{"a":' * 100):
        os.pwrite(file, data.ljust(HOLDER_LENGTH), 0)
        assert directory.holder() == Holder(pid=0, mode="train")
    os.close(file)
