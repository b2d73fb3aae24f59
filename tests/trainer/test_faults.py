"""What goes wrong on a real machine: hang-ups, kills, full disks, damaged files. Nothing is lost."""

import asyncio
import errno
import json
import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.support.fake_run import FakeProcess
from tests.support.processes import SMALL, Trained, command, end_processes, events, finish, kill_trainer, wait_until
from tests.support.training import Script, new_run, same, train_here
from tui_vae.cli import main, train
from tui_vae.cli.progress import ProgressReporter
from tui_vae.config import make_config
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import RequestError, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import Holder, RunDirectory, RunLock
from tui_vae.runs.files import write_atomic
from tui_vae.runs.history import read_history
from tui_vae.runs.launch import signal_trainer, start_serving, start_training
from tui_vae.trainer.checkpoints import CheckpointError, Progress, load_checkpoint, save_checkpoint
from tui_vae.trainer.server import Inbox, Server
from tui_vae.trainer.training import Training
from tui_vae.ui.session import RunSession

STEPS = 21  # an epoch: 20 of 96 images and one of 80
ENDLESS = ("--epochs", 1_000_000, "--schedule", "constant", "--lr", 1e-3, "--checkpoint-every", 1e6, *SMALL)


# -- Signals to the command that follows a run -------------------------------------------------------------------------


class Follower:
    """`tui-vae train` in a terminal of its own, as after `ssh`."""

    def __init__(self, runs: Path, name: str) -> None:
        self.directory = RunDirectory(runs / name)
        self._terminal, theirs = pty.openpty()
        self.process = command("train", "--runs-dir", runs, "--name", name, *ENDLESS,
                               stdin=theirs, stdout=theirs, stderr=theirs)  # fmt: skip
        os.close(theirs)
        self.screen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.screen += os.read(self._terminal, 1 << 16).decode(errors="replace")
            except OSError:  # nobody has it open any more
                return

    def wait_for_steps(self) -> None:
        wait_until(lambda: len(events(self.directory, ev.StepEvent)) > 1)

    def ended(self) -> int:
        """The exit code, once everything that the command printed has been read."""
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def hang_up(self) -> None:
        """The connection drops, and the kernel sends SIGHUP to the session on its terminal."""
        os.kill(self.process.pid, signal.SIGHUP)


@pytest.fixture(scope="module")
def followers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Follower]]:
    """Three runs in training, each followed from a terminal."""
    runs = tmp_path_factory.mktemp("followed")
    started = {name: Follower(runs, name) for name in ("hang-up", "ctrl-c", "terminated")}
    for follower in started.values():
        follower.wait_for_steps()
    yield started
    for follower in started.values():
        follower.process.kill()
        follower.process.wait()
    end_processes(runs)


@pytest.mark.parametrize(("name", "number"), [("ctrl-c", signal.SIGINT), ("terminated", signal.SIGTERM)])
def test_a_signal_to_stop_stops_the_run_after_a_checkpoint(
    followers: dict[str, Follower], name: str, number: signal.Signals
) -> None:
    follower = followers[name]
    os.kill(follower.process.pid, number)
    assert follower.ended() == 130
    assert f"continue with: tui-vae resume {name}" in follower.screen
    directory = follower.directory
    assert directory.holder() is None
    assert events(directory, ev.StateEvent)[-1].state == "stopped"
    stop = events(directory, ev.ControlEvent)[-1]
    assert (stop.command, stop.step) == ("stop", load_checkpoint(directory.last)[0].step)


def test_a_run_survives_hang_up_and_kill_and_goes_on_bit_for_bit(followers: dict[str, Follower]) -> None:
    """The whole promise: no terminal, a kill -9 in mid-epoch, a torn log, watchers, a pause; the same weights."""
    follower, directory = followers["hang-up"], followers["hang-up"].directory
    before = read_history(directory.events).step
    follower.hang_up()
    assert follower.ended() == -signal.SIGHUP
    wait_until(lambda: read_history(directory.events).step > before + 2 * STEPS)

    def in_mid_epoch(message: protocol.AnyRequest) -> protocol.Done:
        while (done := request(directory, message, protocol.Done)).step % STEPS == 0:
            if isinstance(message, protocol.Pause):  # else it would stay there
                request(directory, protocol.Resume(), protocol.Done)
        return done

    saved = in_mid_epoch(protocol.Checkpoint()).step
    wait_until(lambda: read_history(directory.events).step > saved)
    kill_trainer(directory)
    lost = read_history(directory.events).step
    with directory.events.open("ab") as log:
        log.write(b'{"kind":"step","t":17')  # what the kill tore

    assert state_of(directory) == "crashed"
    assert main(["resume", directory.name, "--runs-dir", str(directory.path.parent)]) == 0
    assert events(directory, ev.RunEvent)[-1].step == saved < lost
    request(directory, protocol.Reconstruct(indices=[1, 2, 3]), protocol.Reconstructions)
    in_mid_epoch(protocol.Pause())
    request(directory, protocol.TestErrors(), protocol.Errors)
    request(directory, protocol.Sample(count=9), protocol.Samples)
    request(directory, protocol.Resume(), protocol.Done)
    wait_until(lambda: read_history(directory.events).step > lost)
    in_mid_epoch(protocol.Pause())
    stopped = request(directory, protocol.Stop(), protocol.Done).step
    wait_until(lambda: directory.holder() is None)
    assert state_of(directory) == "stopped"

    steps = list(read_history(directory.events).steps["step"])
    assert steps == sorted(set(steps))
    lines = directory.events.read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines if line.endswith(b"}")][-1] == "state"
    assert sum(not line.endswith(b"}") for line in lines) == 1

    wanted = make_config({**directory.read_config().to_dict(), "name": "quiet"})
    quiet, _ = create_run(directory.path.parent, wanted)
    looks_an_epoch = STEPS + 2
    epochs, rest = divmod(stopped, STEPS)
    assert train_here(quiet, Script({epochs * looks_an_epoch + rest: [protocol.Stop()]})) == 0
    assert load_checkpoint(quiet.last)[0].step == stopped
    assert same(load_file(directory.last), load_file(quiet.last))


def state_of(directory: RunDirectory) -> str:
    from tui_vae.runs.summary import summarize

    return summarize(directory).state


# -- From the first moment on, and where a run cannot be reached -------------------------------------------------------


def test_a_signal_to_stop_is_heard_from_the_first_moment_of_a_run_on(own_runs: Path) -> None:
    """Before its process has been seen to live, and while that loads; a detached run has not been announced yet."""
    followed = command("train", "--name", "followed", "--epochs", 300, *SMALL)
    detached = command("train", "--name", "detached", "--epochs", 300, *SMALL, "--detach")
    started = (("followed", followed, signal.SIGTERM), ("detached", detached, signal.SIGINT))
    for name, process, number in started:
        wait_until(RunDirectory(own_runs / name).log.exists)
        os.kill(process.pid, number)
    for name, process, _ in started:
        code, out, err = finish(process)
        assert code == 130, err
        assert f"continue with: tui-vae resume {name}" in err
        assert out == "" or process is followed
        directory = RunDirectory(own_runs / name)
        assert directory.holder() is None
        assert events(directory, ev.StateEvent)[-1].state == "stopped"
        assert load_checkpoint(directory.last)[0].step == events(directory, ev.ControlEvent)[-1].step


def test_a_signal_to_stop_waits_until_a_swept_away_socket_is_back(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout takes the user's runtime directory away; the trainer makes it anew, and listens again, in seconds."""
    directory = new_run(own_runs)
    lock, inbox = RunLock(directory, "train"), Inbox()
    with pytest.raises(RequestError, match="lives and cannot be reached just now; try again"):
        request(directory, protocol.Set(), protocol.Done)
    asked = mock.Mock(wraps=request)
    monkeypatch.setattr(train, "request", asked)
    train.ask_to_stop(directory)
    wait_until(lambda: asked.call_count > 1, timeout=10)
    server = Server(directory, lock, inbox)
    server.start()
    ticket = inbox.wait(10)
    assert ticket is not None and ticket.request == protocol.Stop()
    ticket.answer(protocol.Done(epoch=1, step=1, lr=1e-3, beta=1))
    server.close()
    lock.release()


def test_a_run_that_nothing_else_reaches_is_stopped_by_a_signal_to_its_process(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, **{"epochs": 1_000_000, "schedule": "constant", "checkpoint-every": 1e6})
    start_training(directory)
    trainer, elsewhere = directory.holder(), new_run(own_runs)
    assert trainer is not None
    with monkeypatch.context() as patch:  # a lock on a shared disk, held elsewhere
        patch.setattr(RunDirectory, "holder", lambda directory: trainer)
        elsewhere.lock.touch()
        assert not signal_trainer(elsewhere, signal.SIGKILL)  # here its number is another run's trainer
        patch.setattr(RunDirectory, "holder", lambda directory: Holder(pid=os.getpid(), mode="train"))
        assert not signal_trainer(directory, signal.SIGKILL)  # or no trainer
    with monkeypatch.context() as patch:  # where nobody can tell what a process is
        patch.setattr(psutil, "PROCFS_PATH", str(own_runs))
        assert not signal_trainer(directory, signal.SIGKILL)
    socket = directory.socket
    socket.unlink()
    socket.mkdir()  # which no socket can replace
    monkeypatch.setattr(train, "UNREACHED_LIMIT", 0.3)
    train.ask_to_stop(directory)
    wait_until(lambda: directory.holder() is None)
    assert events(directory, ev.StateEvent)[-1].state == "stopped"
    assert load_checkpoint(directory.last)[0].step > 0
    socket.rmdir()


def test_a_second_signal_leaves_at_once_and_the_terminal_as_it_was(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    with FakeProcess(new_run(own_runs, name="run")) as process:
        assert train.follow(process.directory, ProgressReporter(process.directory), [signal.SIGINT] * 2) == 130
    out, err = capsys.readouterr()
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert (out.count(hidden), out.count(shown)) == (1, 1)
    assert err == "left before run had stopped; should it go on: tui-vae stop run\n"


def test_terminals_that_open_a_run_at_once_share_one_process_with_who_goes_on_training_it(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1)
    assert train_here(directory) == 0

    async def all_at_once() -> list[protocol.Description]:
        sessions = [RunSession(directory) for _ in range(3)]
        asked = (session.ask(protocol.Describe(), protocol.Description) for session in sessions)
        answers, _ = await asyncio.gather(asyncio.gather(*asked), RunSession(directory).train(1_000_000))
        return answers

    assert {answer.state for answer in asyncio.run(all_at_once())} <= {"serving", "training"}
    wait_until(lambda: events(directory, ev.RunEvent)[-1].epochs == 1_000_001)
    assert directory.is_training()


# -- Files that are cut, flipped, or cannot be written -----------------------------------------------------------------


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
        assert "best.safetensors" in line
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
    assert state_of(directory) == "failed"


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
        code, out, err = finish(command("resume", "run", "--epochs", 1))
        assert (code, out) == (1, "") and "only its best weights" in err
    request(directory, protocol.Describe(), protocol.Description, timeout=60)  # it still serves
    assert (directory.best.read_bytes(), directory.events.read_bytes()) == (best, log)
    kill_trainer(directory)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_the_old_checkpoint_stays_whole_and_training_goes_on(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, **{"epochs": 3, "checkpoint-every": 0})
    whole: list[bytes] = []

    class FullLater(Script):
        """The disk fills up after the 2nd look, and is free again before the last."""

        def pending(self) -> Any:
            if self.looks == 2:
                whole.append(directory.last.read_bytes())
                monkeypatch.setattr(os, "fsync", no_space)
            if self.looks == 13:
                whole.append(directory.last.read_bytes())
                monkeypatch.undo()
            return super().pending()

    refused: dict[int, list[protocol.AnyRequest]] = {
        4: [protocol.Checkpoint(), protocol.Resume(epochs=1)], 7: [protocol.Pause(), protocol.Stop()],
    }  # fmt: skip
    inbox = FullLater({1: [protocol.Checkpoint()], **refused})
    assert train_here(directory, inbox) == 0
    assert inbox.replies[0].step == 1
    assert all("No space left on device" in reply.message for reply in inbox.replies[1:])
    assert len(inbox.replies) == 5
    assert whole[0] == whole[1]
    assert not list(directory.path.glob(".*"))
    assert load_checkpoint(directory.last)[0].step == 9
    assert events(directory, ev.StateEvent)[-1].state == "finished"


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


def test_leftovers_of_killed_writers_are_swept_away(own_runs: Path) -> None:
    directory = new_run(own_runs)
    leftover = directory.path / ".last.safetensors.abc.part"
    leftover.write_bytes(bytes(1000))
    assert train_here(directory) == 0
    assert not leftover.exists()


def test_a_full_disk_loses_events_but_neither_the_run_nor_the_log(tmp_path: Path) -> None:
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
    assert told == [(1, "loading"), (4, "finished")]


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


def test_resuming_with_other_data_is_refused(own_runs: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs)
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    progress, tensors = load_checkpoint(directory.last)
    progress.train_images = 60_000
    save_checkpoint(directory.last, progress, tensors)
    assert train_here(directory) == 1
    assert "was trained on 60000 images; there are 500 now" in events(directory, ev.ErrorEvent)[-1].message
