"""A run's process: how it starts, serves, answers over its socket, pauses and stops."""

import itertools
import math
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.processes import SMALL, command, end_processes, events, finish, kill_trainer, wait_until
from tests.support.training import Script, new_run, train_here
from tui_vae.core.core_limits import OPENMP, CoreLimit, usable_cores
from tui_vae.core.data import datasets
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import Caller, RequestError, request
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.history import read_history
from tui_vae.runs.launch import start_training
from tui_vae.runs.lock import RunLock
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.trainer.checkpoints import load_checkpoint
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.process import RunProcess
from tui_vae.trainer.server import Inbox, Server
from tui_vae.trainer.spare_cores import SpareCores


@pytest.mark.parametrize(
    ("wanted", "spare", "threads"),
    [(None, 4.0, 4), (None, 3.4, 4), (None, 3.2, 3), (None, 1.1, 1), (None, 0.0, 1), (None, math.inf, 4), (4, 0.0, 4)],
)
def test_cores_that_others_keep_busy_are_left_to_them_unless_threads_are_asked_for(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, wanted: int | None, spare: float, threads: int
) -> None:
    monkeypatch.setattr("tui_vae.core.devices.usable_cores", lambda: CoreLimit(4, "all"))
    monkeypatch.delenv(OPENMP, raising=False)
    monkeypatch.setattr(SpareCores, "count", lambda _: spare)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the other tests' as well
    directory = new_run(own_runs, epochs=1, threads=wanted)
    assert train_here(directory) == 0
    (run,) = events(directory, ev.RunEvent)
    assert run.threads == threads
    told = [event.message for event in events(directory, ev.WarningEvent) if "keep cores busy" in event.message]
    assert told == ([] if threads == 4 else [f"other processes keep cores busy: training on {threads} of 4 threads"])


def test_a_busy_core_is_not_spare() -> None:
    cores = usable_cores().cores
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        spare = SpareCores()
        assert spare.count() == math.inf  # too early to tell
        time.sleep(2)
        assert 0 <= spare.count() < cores - 0.5
        busy.kill()


def test_a_device_without_memory_ends_the_run_with_a_sentence(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has …")

    directory = new_run(own_runs)
    monkeypatch.setattr(Learner, "step", full)
    assert train_here(directory) == 1
    (error,) = events(directory, ev.ErrorEvent)
    assert error.message == "the device has no memory left for this run"
    assert f"tui-vae resume {directory.name}" in error.hint


@contextmanager
def serving(directory: RunDirectory) -> Iterator[threading.Thread]:
    """A process that only serves the run, in a thread of the test's own process."""
    lock, inbox = RunLock(directory, "serve"), Inbox()
    server = Server(lambda: directory.socket, lock, inbox)
    server.start()
    serve = RunProcess(directory, lock, inbox).run
    thread = threading.Thread(target=serve, args=(True, protocol.Resume()), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(20)
        server.close()
        lock.release()
    assert not thread.is_alive()


def state_of(caller: Caller) -> str:
    return caller.ask(protocol.Describe(), protocol.Description).state


def test_who_only_serves_leaves_a_while_after_the_last_question(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, epochs=1)
    assert train_here(directory) == 0
    monkeypatch.setattr("tui_vae.trainer.serving.IDLE_LIMIT", 1.2)
    with serving(directory) as thread, connected(directory):  # who is connected and asks nothing keeps nobody
        caller = Caller(directory)
        for _ in range(4):
            assert state_of(caller) == "serving"
            time.sleep(0.7)
        asked_last = time.monotonic()
        thread.join(20)
        assert 0 < time.monotonic() - asked_last < 3


def test_of_processes_that_only_serve_one_stays_idle(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was asked last; one that is still being asked is not idle."""
    monkeypatch.setattr("tui_vae.trainer.serving.STILL_ASKING", 0.4)
    monkeypatch.setattr("tui_vae.trainer.serving.IDLE_LIMIT", 8)
    first, second = (new_run(own_runs, epochs=1, name=name) for name in ("first", "second"))
    assert train_here(first) == train_here(second) == 0
    with serving(first) as older, serving(second) as newer:
        one, other = Caller(first), Caller(second)
        assert state_of(one) == state_of(other) == "serving"
        for _ in range(8):
            time.sleep(0.2)
            assert state_of(one) == "serving"  # two seconds long, for a client that goes on asking
        newer.join(20)
        assert not newer.is_alive()  # the other was asked last
        assert older.is_alive()
        assert state_of(one) == "serving"
        request(first, protocol.Stop(), protocol.Done)
    assert not list(runtime_directory().glob("*idle-*"))


def test_who_only_served_trains_on_with_the_rate_that_is_asked_for(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, schedule="constant", lr=1e-3)
    assert train_here(directory) == 0
    with serving(directory) as thread:
        assert state_of(Caller(directory)) == "serving"
        request(directory, protocol.Resume(epochs=1, lr_factor=0.1), protocol.Done)
        thread.join(30)
    epochs = read_history(directory.events).epochs
    assert [epoch.lr for epoch in epochs] == pytest.approx([1e-3, 1e-4])


def test_a_run_that_waits_goes_on_with_the_rate_that_is_asked_for(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, schedule="constant", lr=1e-3)
    asked = [protocol.Resume(lr_factor=0.1)]
    assert train_here(directory, Script({2: [protocol.Pause()]}, paused=asked)) == 0
    changes = [each for each in events(directory, ev.ControlEvent) if each.command == "set lr"]
    assert [(each.before, each.value) for each in changes] == [(pytest.approx(1e-3), pytest.approx(1e-4))]


def connected(directory: RunDirectory) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(directory.socket))
    return client


# -- In a process of its own, through its socket -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """A run that trains and trains, in a deep directory; checkpoints are written only when somebody asks for one."""
    runs = tmp_path_factory.mktemp("living").joinpath(*["a-rather-long-name-of-a-directory"] * 6)
    code, out, err = finish(command(
        "train", "--detach", "--runs-dir", runs, "--name", "long", "--epochs", 1_000_000, "--schedule", "constant",
        "--lr", 1e-3, "--checkpoint-every", 1e6, *SMALL,
    ))  # fmt: skip
    assert (code, out) == (0, "long\n"), err
    directory = RunDirectory(runs / "long")
    request(directory, protocol.Describe(), protocol.Description, timeout=60)  # answered once it is loaded
    yield directory
    end_processes(runs)


@pytest.fixture
def running(living: RunDirectory) -> RunDirectory:
    request(living, protocol.Resume(), protocol.Done)
    return living


def step_of(directory: RunDirectory) -> int:
    return request(directory, protocol.Describe(), protocol.Description).step


def promptly(directory: RunDirectory, message: protocol.AnyRequest) -> protocol.Done:
    start = time.monotonic()
    done = request(directory, message, protocol.Done)
    assert time.monotonic() - start < 3
    return done


def since(directory: RunDirectory, count: int) -> list[Any]:
    return events(directory)[count:]


def test_a_paused_run_has_saved_its_step_and_makes_no_more(running: RunDirectory) -> None:
    count = len(events(running))
    done = promptly(running, protocol.Pause())
    told = [event for event in since(running, count) if not isinstance(event, ev.StepEvent | ev.EpochEvent)]
    assert [(type(event), event.step) for event in told if not isinstance(event, ev.StateEvent | ev.PreviewEvent)][
        -2:
    ] == [(ev.CheckpointEvent, done.step), (ev.ControlEvent, done.step)]
    assert told[-1].state == "paused"
    assert load_checkpoint(running.last)[0].step == done.step
    size = running.events.stat().st_size
    time.sleep(0.4)
    assert step_of(running) == done.step
    assert running.events.stat().st_size == size
    promptly(running, protocol.Pause())  # again: nothing new to tell
    assert running.events.stat().st_size == size

    promptly(running, protocol.Resume())
    wait_until(lambda: step_of(running) > done.step + 20)
    assert [event.state for event in events(running, ev.StateEvent)][-2:] == ["paused", "training"]


def test_new_values_show_in_the_next_step_event_and_in_the_log(running: RunDirectory) -> None:
    done = promptly(running, protocol.Set(lr=3e-4, beta=2))
    assert done.lr == pytest.approx(3e-4) and done.beta == 2
    step: ev.StepEvent = wait_until(lambda: [e for e in events(running, ev.StepEvent) if e.step > done.step])[-1]
    assert step.lr == pytest.approx(3e-4) and step.beta == 2
    controls = [(event.command, event.value, event.step) for event in events(running, ev.ControlEvent)]
    assert controls[-2:] == [("set lr", 3e-4, done.step), ("set beta", 2, done.step)]


def test_a_checkpoint_on_request_is_of_the_step_that_the_answer_names(running: RunDirectory) -> None:
    done = promptly(running, protocol.Checkpoint())
    assert load_checkpoint(running.last)[0].step == done.step
    assert done.step in [event.step for event in events(running, ev.CheckpointEvent) if event.file == running.last.name]
    assert ("checkpoint", done.step) in [(event.command, event.step) for event in events(running, ev.ControlEvent)]


def test_what_the_process_answers_about_its_images(living: RunDirectory) -> None:
    promptly(living, protocol.Pause())
    facts = request(living, protocol.Describe(), protocol.Description)
    dataset = datasets.load(test_limit=500)
    assert (facts.state, facts.labels) == ("paused", dataset.labels("test").tobytes())
    indices = [499, 0, 7]
    pairs = request(living, protocol.Reconstruct(indices=indices), protocol.Reconstructions)
    original = np.frombuffer(pairs.originals, np.uint8).reshape(3, 28, 28)
    made = np.frombuffer(pairs.reconstructions, np.uint8).reshape(3, 28, 28)
    np.testing.assert_array_equal(original, dataset.test_images[indices])
    assert pairs.labels == dataset.labels("test")[indices].tobytes()
    mse = ((original / 255 - made / 255.0) ** 2).mean(axis=(1, 2))
    np.testing.assert_allclose(pairs.mse, mse, atol=1e-4)
    errors = np.frombuffer(request(living, protocol.TestErrors(), protocol.Errors).mse, "<f4")
    assert errors.shape == (500,)
    np.testing.assert_allclose(errors[indices], pairs.mse, rtol=1e-5)

    def sample(**options: Any) -> bytes:
        images = request(living, protocol.Sample(count=5, **options), protocol.Samples).images
        assert len(images) == 5 * 784
        return images

    assert sample() == sample(source="fitted", seed=0)
    assert len({sample(), sample(seed=1), sample(source="prior")}) == 3
    with pytest.raises(RequestError, match="numbered 0 to 499, not 500"):
        request(living, protocol.Reconstruct(indices=[500]), protocol.Reconstructions)


def test_the_socket_is_private_and_its_path_short(living: RunDirectory) -> None:
    path = living.socket
    assert len(os.fsencode(living.path)) > 200
    assert len(os.fsencode(path)) < 104
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_strange_clients_do_not_disturb_training(running: RunDirectory) -> None:
    garbage, deep, latin, huge, silent, greedy, torn = (connected(running) for _ in range(7))
    garbage.sendall(struct.pack(">I", 12) + b"\x93garbage!!!!!")
    nested = b"\x82\xa1x" + b"\x91" * 100_000 + b"\xc0\xa4type\xa3Set"
    deep.sendall(struct.pack(">I", len(nested)) + nested)
    latin.sendall(struct.pack(">I", 8) + b"\x81\xa4type\xa1\xe9")
    huge.sendall(struct.pack(">I", 0xFFFFFFFF) + b"x" * 1000)
    for _ in range(3):  # 10 MB of answers that nobody reads
        greedy.sendall(protocol.frame(protocol.Sample(count=protocol.MAX_IMAGES)))
    torn.sendall(protocol.frame(protocol.TestErrors())[:3])
    torn.close()
    before = step_of(running)
    wait_until(lambda: step_of(running) > before + 30, timeout=20)
    for client in (garbage, deep, latin):
        failure = protocol.decode_reply(client.recv(1 << 16)[4:])
        assert isinstance(failure, protocol.Failure)
        assert "not understood" in failure.message
    assert huge.recv(10) == b""  # hung up on
    for client in (garbage, deep, latin, huge, silent, greedy):
        client.close()
    assert promptly(running, protocol.Set()).step > before


def test_a_second_trainer_is_refused(living: RunDirectory) -> None:
    second = subprocess.run([sys.executable, "-m", "tui_vae.trainer", str(living.path)],
                            capture_output=True, text=True, timeout=60)  # fmt: skip
    assert second.returncode == 1
    assert second.stderr.splitlines() == ["run 'long' already has a living process"]
    with pytest.raises(RunError, match="already being trained"):
        start_training(living)
    assert living.is_training()


def remove_socket(directory: RunDirectory) -> None:
    directory.socket.unlink()


def remove_directory(directory: RunDirectory) -> None:
    """As the last logout does with the user's runtime directory; the next login makes it again."""
    shutil.rmtree(directory.socket.parent)


@pytest.mark.parametrize("sweep", [remove_socket, remove_directory])
def test_a_swept_away_socket_is_back_within_seconds(
    living: RunDirectory, sweep: Callable[[RunDirectory], None]
) -> None:
    place = living.socket
    sweep(living)
    assert not place.exists()
    request(living, protocol.Set(), protocol.Done)  # waits for the moment in which the socket is made anew
    assert place.exists()


def test_a_run_is_reached_again_after_logout_and_login(
    living: RunDirectory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The whole runtime directory goes, the trainer finds another place, and with a new login it is back again."""
    runtime = Path(os.environ["XDG_RUNTIME_DIR"])
    away = runtime.with_name(runtime.name + "-away")

    def answers() -> bool:
        try:
            return bool(request(living, protocol.Set(), protocol.Done))
        except RequestError:
            return False

    runtime.rename(away)
    elsewhere = living.socket  # under the temporary directory
    try:
        assert elsewhere.parent.parent != runtime
        wait_until(answers, timeout=10)
    finally:
        away.rename(runtime)
    wait_until(answers, timeout=10)
    assert living.socket.parent.parent == runtime
    wait_until(lambda: not elsewhere.exists(), timeout=10)


def test_stop_writes_the_very_step_that_it_names_even_when_paused(running: RunDirectory) -> None:
    """The last test of this run."""
    promptly(running, protocol.Pause())
    resumed = promptly(running, protocol.Resume())
    wait_until(lambda: step_of(running) > resumed.step)
    paused = promptly(running, protocol.Pause())
    done = promptly(running, protocol.Stop())
    wait_until(lambda: running.holder() is None, timeout=20)
    assert done.step == paused.step == load_checkpoint(running.last)[0].step
    assert events(running, ev.StateEvent)[-1].state == "stopped"
    steps = [event.t for event in events(running, ev.StepEvent)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert len(gaps) > 10
    assert min(gaps) > 0.09  # at most 10 a second
    with pytest.raises(RequestError, match="no living process"):
        request(running, protocol.Pause(), protocol.Done)
    kill_trainer(running)
