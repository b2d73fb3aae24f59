"""Full disks, damaged files and data that have changed: nothing is lost, and the log says what happened."""

import asyncio
import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.processes import Trained, command, events, finish, kill_trainer, wait_until
from tests.support.training import Script, new_run, same, train_here
from tui_vae.cli import main
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.checkpoint_file import CheckpointError, Progress
from tui_vae.runs.client import request
from tui_vae.runs.files import write_atomic
from tui_vae.runs.launch import start_serving, start_training
from tui_vae.runs.opened import OpenRunDirectory
from tui_vae.runs.summary import summarize
from tui_vae.runs.write_errors import HINTS, unwritable
from tui_vae.trainer import timers
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.trainer.training import Training
from tui_vae.ui.session import RunSession


def test_a_file_is_whole_however_often_its_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = """
import itertools, sys
from pathlib import Path
from tui_vae.runs.files import write_atomic
for number in itertools.count():
    write_atomic(Path(sys.argv[1]), bytes([number % 251]) * 2_000_000)
"""
    dice, seen = random.Random(1), set()
    for _ in range(12):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
        wait_until(path.exists)
        time.sleep(dice.uniform(0, 0.06))
        writer.kill()
        writer.wait()
        data = path.read_bytes()
        assert len(data) == 2_000_000
        assert data == data[:1] * len(data)
        seen.add(data[0])
    assert len(seen) > 1


def small_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "noise": torch.arange(5, dtype=torch.uint8)}
    save_checkpoint(path, Progress(config={"seed": 5}, segments=[2, 1], beta=1.5, step=41, best_loss=-1.25), tensors)
    return tensors


def test_a_checkpoint_reads_back_or_is_refused_whichever_bit_flips(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    tensors = small_checkpoint(path)
    progress, found = load_checkpoint(path)
    assert same(found, tensors)
    assert (progress.step, progress.segments, progress.best_loss) == (41, [2, 1], -1.25)

    whole = path.read_bytes()
    accepted, dice = [], random.Random(2)
    for position in range(len(whole)):
        bit = dice.randrange(8)
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :])
        try:
            other, read = load_checkpoint(path)
        except CheckpointError as error:
            assert str(path) in str(error)
        else:
            accepted.append(position)
            assert other == progress
            assert same(read, tensors)
    assert len(accepted) < 20  # a space of the header that became another
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=path.stem):
            load_checkpoint(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_checkpoint_is_one_sentence_that_names_it(
    own_runs: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    damage(directory.last)
    capsys.readouterr()
    for arguments in (["eval", "run"], ["show", "run"], ["export", "run", "--what", "grid", "--out", "grid.png"]):
        assert main([*arguments, "--checkpoint", "last"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith(f"tui-vae: {directory.last} is damaged")
        assert "whole is best, of epoch 1 (--checkpoint best)" in line
    assert main(["eval", "run", "--checkpoint", "best"]) == 0
    assert train_here(directory, more_epochs=1) == 1
    assert str(directory.last) in events(directory, ev.ErrorEvent)[-1].message
    assert events(directory, ev.StateEvent)[-1].state == "failed"


def test_resuming_from_a_damaged_checkpoint_fails_aloud(own_runs: Path) -> None:
    directory = new_run(own_runs, name="run")
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    flip(directory.last)
    code, out, err = finish(command("resume", "run"))
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("tui-vae: ")
    assert str(directory.last) in line and "--config" in line and "--checkpoint" not in line
    assert summarize(directory).state == "failed"


def test_whoever_still_has_a_deleted_run_on_screen_is_told_so(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    session = RunSession(directory)
    shutil.rmtree(directory.path)
    for asking in (session.train(1), session.ask(protocol.Describe(), protocol.Description)):
        with pytest.raises(UserError, match="run 'run' has been deleted"):
            asyncio.run(asking)
    assert not directory.path.exists()


def test_a_run_that_has_only_its_best_weights_keeps_them(own_runs: Path) -> None:
    """Whether nobody looks at it, or a process serves it: to train it anew would overwrite them."""
    directory = new_run(own_runs, epochs=1, name="run")
    assert train_here(directory) == 0
    directory.last.unlink()
    best, log = directory.best.read_bytes(), directory.events.read_bytes()
    for serving in (False, True):
        if serving:
            start_serving(directory)
        for more in ((), ("--epochs", 1)):  # which is not advised in vain
            code, out, err = finish(command("resume", "run", *more))
            assert (code, out) == (1, "") and "only its best weights" in err
    request(directory, protocol.Describe(), protocol.Description, timeout=60)  # it still serves
    assert (directory.best.read_bytes(), directory.events.read_bytes()) == (best, log)
    kill_trainer(directory)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that waits tries again at once."""
    monkeypatch.setattr(timers, "RETRY_EVERY", 0)
    monkeypatch.setattr(timers, "RETRY_SHARE", 1e9)


class DiskFull(Script):
    """A disk that is full from the `full`-th look on, and free again once training has waited `waits` times."""

    def __init__(self, patch: pytest.MonkeyPatch, full: int, waits: int, **options: Any) -> None:
        super().__init__(**options)
        self.waited = 0
        self._patch, self._full, self._waits = patch, full, waits

    def pending(self) -> Any:
        if self.looks + 1 == self._full:
            self._patch.setattr(os, "fsync", no_space)
        return super().pending()

    def wait(self, seconds: float) -> Any:
        self.waited += 1
        if self.waited == self._waits:
            self._patch.undo()
        return super().wait(seconds)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("full", [3, 9, 10])
def test_training_waits_on_a_full_disk_and_goes_on_with_its_room(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, full: int
) -> None:
    """In an epoch's course, in its evaluation, and at the very end; the weights are those of a run without."""
    plain = new_run(own_runs, **{"checkpoint-every": 0})
    assert train_here(plain) == 0
    directory = new_run(own_runs, **{"checkpoint-every": 0})
    with monkeypatch.context() as patch:
        inbox = DiskFull(patch, full, waits=5)
        assert train_here(directory, inbox) == 0
    assert inbox.waited >= 5
    states = [(event.state, event.reason) for event in events(directory, ev.StateEvent)]
    (reason,) = [reason for state, reason in states if state == "paused"]
    assert "No space left on device" in reason and f"free some space on the disk of {directory.path}" in reason
    assert [state for state, _ in states[-3:]] == ["paused", "training", "finished"]
    warnings = [event for event in events(directory, ev.WarningEvent) if "checkpoint" in event.message]
    assert len(warnings) == 1
    assert same(load_checkpoint(directory.last)[1], load_checkpoint(plain.last)[1])
    assert not list(directory.path.glob(".*"))


@pytest.mark.usefixtures("at_once")
def test_requests_on_a_full_disk_are_refused_with_what_to_do_and_a_stop_is_remembered(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, **{"epochs": 3})
    with monkeypatch.context() as patch:
        asked = [protocol.Pause(), protocol.Checkpoint(), protocol.Resume(epochs=1), protocol.Resume(), protocol.Stop()]
        inbox = DiskFull(patch, 4, waits=8, at={4: [protocol.Checkpoint()]}, paused=asked)
        assert train_here(directory, inbox) == 0
    assert len(inbox.replies) == 6
    assert all("No space left on device" in reply.message for reply in inbox.replies)
    assert inbox.replies[0].hint.endswith("; then try again")  # who asks for a checkpoint
    assert [reply.hint.rpartition("; ")[2] for reply in inbox.replies[1:5]] == [
        "it stays paused then", "then try again", "then try again", "it goes on by itself then",
    ]  # fmt: skip
    assert f"kill -9 {os.getpid()}" in inbox.replies[-1].hint
    states = events(directory, ev.StateEvent)
    assert (
        f"it stops then; to give up what it has learnt since its last checkpoint: kill -9 {os.getpid()}"
        in ([each.reason for each in states if each.state == "paused"][-1].partition("; ")[2])
    )
    assert states[-1].state == "stopped"
    assert load_checkpoint(directory.last)[0].step == 3


@pytest.mark.parametrize("number", sorted(HINTS))
def test_each_error_of_a_disk_has_a_hint_of_its_own(tmp_path: Path, number: int) -> None:
    error = unwritable("a checkpoint", OSError(number, os.strerror(number)), tmp_path)
    assert error.message == f"cannot write a checkpoint: {os.strerror(number)}"
    assert ("free some space" in error.hint) == (number == errno.ENOSPC)
    assert "{" not in error.hint


@pytest.mark.slow
def test_a_trainer_lives_on_a_disk_with_no_room_for_a_word(own_runs: Path) -> None:
    """A limit on files' sizes, which log, output and checkpoints all reach; then it is lifted."""
    directory = new_run(own_runs, **{"epochs": 100_000, "schedule": "constant", "checkpoint-every": 0.2})
    process = start_training(directory)
    wait_until(lambda: directory.last.exists() and events(directory, ev.StepEvent))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (600, resource.RLIM_INFINITY))
    wait_until(lambda: summarize(directory).state == "paused")
    holder = directory.holder()
    assert holder and holder.trouble == "cannot write a checkpoint: File too large"
    assert request(directory, protocol.Describe(), protocol.Description).state == "paused"
    with pytest.raises(UserError, match="File too large") as refusal:
        request(directory, protocol.Checkpoint(), protocol.Done)
    assert f"--pid {process.pid}" in refusal.value.hint
    time.sleep(3)
    assert process.poll() is None and directory.log.stat().st_size < 10_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: summarize(directory).state == "training")
    assert any(
        event.state == "paused" and "File too large" in event.reason for event in events(directory, ev.StateEvent)
    )
    request(directory, protocol.Stop(), protocol.Done)
    assert process.wait(30) == 0


def test_a_write_beyond_the_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = """
import sys
from pathlib import Path
from tui_vae.runs.files import write_atomic
try:
    write_atomic(Path(sys.argv[1]), bytes(100_000))
except OSError as error:
    print(error.strerror)
"""
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert out.stdout == "File too large\n"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("held_open", [False, True])
def test_leftovers_of_killed_writers_are_swept_away(own_runs: Path, held_open: bool) -> None:
    directory = new_run(own_runs)
    if held_open:  # as a trainer holds its own
        directory = OpenRunDirectory(directory.path)
    leftover = directory.path / ".last.safetensors.abc.part"
    leftover.write_bytes(bytes(1000))
    assert train_here(directory) == 0
    assert not leftover.exists()


def test_a_log_that_a_full_disk_refuses_has_every_event_once_there_is_room(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from tui_vae.runs.events import EventLog, StateEvent
log = EventLog(Path(sys.argv[1]))
log.write(StateEvent(t=1, state="loading"))
resource.setrlimit(resource.RLIMIT_FSIZE, (70, resource.RLIM_INFINITY))
log.write(StateEvent(t=2, state="training"))
log.write(StateEvent(t=3, state="training"))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
log.write(StateEvent(t=4, state="finished"))
"""
    path = tmp_path / "events.jsonl"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True)
    told = [(event.t, event.state) for event in ev.LogTail(path).read_all()]  # type: ignore[union-attr]
    assert told == [(1, "loading"), (2, "training"), (3, "training"), (4, "finished")]


def test_a_damaged_configuration_is_one_sentence_that_names_it(
    own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = new_run(own_runs, name="run")
    directory.config.write_text('epochs = "many"\n')
    assert train_here(directory) != 0
    message = events(directory, ev.ErrorEvent)[-1].message
    assert str(directory.config) in message
    assert "epochs must be a whole number" in message
    assert main(["ls"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["run", "failed"]


def test_an_unexpected_failure_ends_the_run_with_a_word(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Training) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(Training, "_end_epoch", breaks)
    directory = new_run(own_runs)
    assert train_here(directory) == 1
    error, state = events(directory)[-2:]
    assert "ZeroDivisionError: nobody thought of this" in error.message
    assert state.state == "failed"


@pytest.mark.parametrize(
    ("kind", "allocate"),
    [("the CPU", lambda: torch.empty(2**50, dtype=torch.uint8)), ("numpy", lambda: np.empty(2**50, np.uint8)),
     ("Python", lambda: bytearray(2**60))],
)  # fmt: skip
def test_memory_that_is_refused_is_said_in_our_words(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, kind: str, allocate: Callable[[], object]
) -> None:
    """Before, the log had `[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: …`."""

    def end_epoch(self: Training) -> None:
        allocate()

    monkeypatch.setattr(Training, "_end_epoch", end_epoch)
    directory = new_run(own_runs)
    assert train_here(directory) == 1
    error = events(directory, ev.ErrorEvent)[-1]
    assert error.message == "this machine has no memory left for this run"
    assert error.hint == f"free some of it, then go on with: tui-vae resume {directory.name}"


def test_resuming_with_other_data_is_refused(own_runs: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs)
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    progress, tensors = load_checkpoint(directory.last)
    progress.train_images = 60_000
    save_checkpoint(directory.last, progress, tensors)
    assert train_here(directory) == 1
    assert "was trained on 60000 images; there are 500 now" in events(directory, ev.ErrorEvent)[-1].message
