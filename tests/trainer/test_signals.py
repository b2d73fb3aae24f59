"""Hang-ups, kills, Ctrl-C, and runs that cannot be reached. Nothing is lost."""

import asyncio
import json
import os
import pty
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import psutil
import pytest
from safetensors.torch import load_file

from tests.support.fake_run import FakeProcess
from tests.support.processes import SMALL, command, end_processes, events, finish, kill_trainer, wait_until
from tests.support.training import Script, new_run, same, train_here
from tui_vae.cli import main, train
from tui_vae.cli.progress import ProgressReporter
from tui_vae.config import make_config
from tui_vae.runs import client, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.client import RequestError, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.holder import Holder
from tui_vae.runs.launch import signal_trainer, start_training
from tui_vae.runs.lock import RunLock
from tui_vae.runs.summary import summarize
from tui_vae.trainer.checkpoints import load_checkpoint
from tui_vae.trainer.server import Inbox, Server
from tui_vae.ui.session import RunSession

STEPS = 21  # an epoch: 20 of 96 images and one of 80


ENDLESS = ("--epochs", 1_000_000, "--schedule", "constant", "--lr", 1e-3, "--checkpoint-every", 1e6, *SMALL)


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


@pytest.mark.skipif(not hasattr(signal, "SIGPWR"), reason="a signal of Linux")
@pytest.mark.parametrize("number", ["SIGXCPU", "SIGPWR"])
def test_a_notice_of_the_system_stops_the_run_after_a_checkpoint(own_runs: Path, number: str) -> None:
    directory = new_run(own_runs, **{"epochs": 1_000_000, "schedule": "constant", "checkpoint-every": 1e6})
    process = start_training(directory)
    wait_until(lambda: events(directory, ev.StepEvent))
    os.kill(process.pid, getattr(signal, number))
    assert process.wait(30) == 0
    assert summarize(directory).state == "stopped"
    assert load_checkpoint(directory.last)[0].step == events(directory, ev.ControlEvent)[-1].step


@pytest.mark.parametrize(("name", "number"), [("ctrl-c", signal.SIGINT), ("terminated", signal.SIGTERM)])
def test_a_signal_to_stop_stops_the_run_after_a_checkpoint(
    followers: dict[str, Follower], name: str, number: signal.Signals
) -> None:
    follower = followers[name]
    trainer = follower.directory.process()
    assert trainer is not None

    def has_saved(times: int) -> bool:
        return [each.command for each in events(follower.directory, ev.ControlEvent)].count("checkpoint") == times

    for count, process in enumerate((trainer, follower.process.pid), 1):
        os.kill(process, signal.SIGUSR2)
        os.kill(process, signal.SIGUSR1)  # asks for a checkpoint; before, both killed it
        wait_until(partial(has_saved, count))
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

    assert summarize(directory).state == "crashed"
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
    assert summarize(directory).state == "stopped"

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
    monkeypatch.setattr(client, "REACH_LIMIT", 0.1)
    with pytest.raises(RequestError, match="lives and cannot be reached just now; try again"):
        request(directory, protocol.Set(), protocol.Done)
    asked = mock.Mock(wraps=request)
    monkeypatch.setattr(train, "request", asked)
    train.request_stop(directory)
    wait_until(lambda: asked.call_count > 1, timeout=10)
    server = Server(lambda: directory.socket, lock, inbox)
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
    monkeypatch.setattr(client, "REACH_LIMIT", 0.1)
    monkeypatch.setattr(train, "UNREACHED_LIMIT", 0.3)
    train.request_stop(directory)
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
