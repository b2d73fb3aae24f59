"""The trainer: bit for bit the same weights whatever happens to it, and controls that do what they say."""

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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import SMALL, command, end_processes, events, finish, kill_trainer, wait_until
from tests.support.training import LOOKS, STEPS, Killed, Script, new_run, same, train_here
from tui_vae.core.data import datasets
from tui_vae.core.devices import usable_cores
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import Caller, RequestError, request
from tui_vae.runs.directory import RunDirectory, RunError, RunLock
from tui_vae.runs.history import read_history
from tui_vae.runs.launch import start_training
from tui_vae.runs.manage import rename_run
from tui_vae.trainer.checkpoints import load_checkpoint
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.process import RunProcess
from tui_vae.trainer.server import Inbox, Server
from tui_vae.trainer.spare_cores import SpareCores

# -- In this process: disturbed at every moment there is ---------------------------------------------------------------


def figures(directory: RunDirectory) -> list[tuple[int, ev.Metrics, ev.Metrics]]:
    return [(event.epoch, event.train, event.test) for event in read_history(directory.events).epochs]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = new_run(tmp_path_factory.mktemp("undisturbed"))
    inbox = Script()
    assert train_here(directory, inbox) == 0
    assert inbox.looks == LOOKS
    return directory


def assert_same_run(directory: RunDirectory, undisturbed: RunDirectory) -> None:
    last = load_file(undisturbed.last)
    weights = sum(tensor.numel() for name, tensor in last.items() if name.startswith("model."))
    assert sum(tensor.numel() for tensor in last.values()) > 3 * weights  # with Adam's two moments, and the noise
    assert same(load_file(directory.last), last)
    assert same(load_file(directory.best), load_file(undisturbed.best))
    assert figures(directory) == figures(undisturbed)
    assert events(directory, ev.StateEvent)[-1].state == "finished"


def test_the_same_options_give_the_same_weights_and_another_seed_others(
    own_runs: Path, undisturbed: RunDirectory
) -> None:
    again, other = new_run(own_runs), new_run(own_runs, seed=1)
    assert train_here(again) == train_here(other) == 0
    assert_same_run(again, undisturbed)
    weights, others = load_file(undisturbed.last), load_file(other.last)
    assert not any(torch.equal(weights[name], others[name]) for name in weights if name.endswith("weight")
                   and weights[name].dim() == 2)  # fmt: skip


LOOK_INSIDE = (
    protocol.Describe(), protocol.Reconstruct(indices=[3, 141]), protocol.TestErrors(),
    protocol.Sample(count=3), protocol.Sample(count=2, source="prior"), protocol.Map(), protocol.Decode(z=bytes(16)),
)  # fmt: skip


def test_looking_inside_at_every_moment_changes_nothing(own_runs: Path, undisturbed: RunDirectory) -> None:
    directory = new_run(own_runs)
    inbox = Script(dict.fromkeys(range(1, LOOKS + 1), LOOK_INSIDE))
    assert train_here(directory, inbox) == 0
    assert len(inbox.replies) >= 2 * LOOKS
    assert not any(isinstance(reply, protocol.Failure) for reply in inbox.replies)
    assert_same_run(directory, undisturbed)


@pytest.mark.parametrize("how", ["pause", "stop", "checkpoint and kill", "kill"])
def test_a_disturbance_at_any_moment_leaves_the_weights_bit_for_bit(
    own_runs: Path, undisturbed: RunDirectory, how: str
) -> None:
    steps = set()
    for look in range(1, LOOKS + 1):
        directory = new_run(own_runs)
        match how:
            case "pause":
                inbox = Script({look: [protocol.Pause()]}, paused=[*LOOK_INSIDE, protocol.Resume()])
                assert train_here(directory, inbox) == 0
            case "stop":
                inbox = Script({look: [protocol.Stop()]})
                assert train_here(directory, inbox) == 0
                assert load_checkpoint(directory.last)[0].step == inbox.replies[0].step
                assert events(directory, ev.StateEvent)[-1].state == "stopped"
                assert train_here(directory) == 0
            case "checkpoint and kill":
                inbox = Script({look: [protocol.Checkpoint()]}, kill_at=look + 1)
                if look == LOOKS:
                    continue
                with pytest.raises(Killed):
                    train_here(directory, inbox)
                assert load_checkpoint(directory.last)[0].step == inbox.replies[0].step
                assert train_here(directory) == 0
            case "kill":
                inbox = Script(kill_at=look)
                with pytest.raises(Killed):
                    train_here(directory, inbox)
                assert train_here(directory) == 0
        assert_same_run(directory, undisturbed)
        steps |= {reply.step for reply in inbox.replies if isinstance(reply, protocol.Done)}
    assert steps == (set() if how == "kill" else set(range(1, 2 * STEPS + 1)))


def test_epochs_added_to_a_living_run_outlive_its_process(own_runs: Path) -> None:
    directory = new_run(own_runs)
    inbox = Script({2: [protocol.Resume(epochs=3)]}, kill_at=3)
    with pytest.raises(Killed):
        train_here(directory, inbox)
    assert isinstance(inbox.replies[0], protocol.Done)
    assert train_here(directory) == 0
    assert [event.epoch for event in read_history(directory.events).epochs] == [1, 2, 3, 4, 5]


def test_a_renamed_run_goes_on_under_its_new_name(own_runs: Path) -> None:
    directory = new_run(own_runs, name="old")
    assert train_here(directory, Script({2: [protocol.Stop()]})) == 0
    renamed = rename_run(directory, "new")
    assert train_here(renamed) == 0
    assert [(event.name, event.config["name"]) for event in events(renamed, ev.RunEvent)] == [
        ("old", "old"), ("new", "new")]  # fmt: skip
    assert load_checkpoint(renamed.last)[0].config["name"] == "new"


# -- Learning rate and β, step by step ---------------------------------------------------------------------------------

ASK = [protocol.Set()]  # changes nothing, and is answered with the values in force


def course(directory: RunDirectory, changes: Mapping[int, protocol.Set] | None = None, more_epochs: int = 0) -> Any:
    """Learning rate and β of each coming step, as the trainer tells them after each step."""
    inbox = Script({look: [(changes or {}).get(look, ASK[0])] for look in range(1, 1000)})
    assert train_here(directory, inbox, more_epochs) == 0, directory.log
    by_step = {reply.step: (reply.lr, reply.beta) for reply in inbox.replies}
    return list(by_step), *zip(*by_step.values(), strict=True)


def one_cycle(share: float) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * (share / 0.1 if share < 0.1 else (share - 0.1) / 0.9)))
    return 1 - 0.96 * cosine if share < 0.1 else 4e-6 + (1 - 4e-6) * cosine


def test_every_stretch_follows_its_schedule_and_warm_up(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=7, **{"kl-warmup": 2, "beta": 4, "lr": 1e-3})
    steps, lr, beta = course(directory)
    assert steps == list(range(1, 22))
    assert lr == pytest.approx([1e-3 * one_cycle(step / 21) for step in steps])
    assert beta == pytest.approx([4 * min(1, step / 6) for step in steps])
    assert max(lr) > 0.99e-3

    steps, lr, beta = course(directory, more_epochs=4)
    assert steps == list(range(22, 34))
    assert lr == pytest.approx([1e-3 * one_cycle((step - 21) / 12) for step in steps])
    assert set(beta) == {4}
    assert [event.epoch for event in read_history(directory.events).epochs] == list(range(1, 12))


def test_a_change_takes_effect_at_once_and_the_schedule_goes_on_from_there_scaled(own_runs: Path) -> None:
    given = {"epochs": 4, "schedule": "cosine", "kl-warmup": 3, "lr": 1e-3}
    changes = {5: protocol.Set(lr=3e-4), 7: protocol.Set(beta=2)}  # the 5th look is the first evaluation, after step 3
    directory = new_run(own_runs, **given)
    steps, lr, beta = course(directory, changes)

    def cosine(step: int) -> float:
        return 0.5e-3 * (1 + math.cos(math.pi * step / 12))

    scale = 3e-4 / cosine(3)
    assert lr == pytest.approx([cosine(step) * (scale if step >= 3 else 1) for step in steps], abs=1e-12)
    change = 5  # the step after which the 7th look came
    assert beta == pytest.approx([min(1, step / 9) * (2 / (change / 9) if step >= change else 1) for step in steps])
    controls = [(event.command, event.value, event.step) for event in events(directory, ev.ControlEvent)]
    assert controls == [("set lr", 3e-4, 3), ("set beta", 2, change)]
    before = [event.before for event in events(directory, ev.ControlEvent)]
    assert before == pytest.approx([cosine(3), change / 9])


def test_a_factor_scales_what_is_in_force_at_its_step_whatever_came_before(own_runs: Path) -> None:
    """Three requests that come at once: each scales what the one before it has left."""
    directory = new_run(own_runs, epochs=4, schedule="cosine", lr=1e-3)
    up, down = protocol.Set(lr_factor=1.25), protocol.Set(lr_factor=0.8, beta_factor=0.5)
    far_up = protocol.Set(lr_factor=1000)
    inbox = Script({2: [up, up, up, down, far_up, far_up, up, protocol.Stop()]})
    assert train_here(directory, inbox) == 0
    replies = inbox.replies[:-1]
    scheduled = 0.5e-3 * (1 + math.cos(math.pi * 2 / 12))
    factors = [1.25, 1.25**2, 1.25**3, 1.25**2, 1000 * 1.25**2]
    expected = [*(scheduled * factor for factor in factors), protocol.MAX_LR, protocol.MAX_LR]
    assert [reply.lr for reply in replies] == pytest.approx(expected)
    assert [reply.beta for reply in replies] == [1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    of_lr = [event for event in events(directory, ev.ControlEvent) if event.command == "set lr"]
    assert [event.value for event in of_lr] == pytest.approx(expected[:-1])  # the last changed nothing
    assert [event.before for event in of_lr] == pytest.approx([scheduled, *expected[:-2]])


def test_a_factor_scales_what_beta_rises_to_and_nothing_lowers_zero(own_runs: Path) -> None:
    """The first step of a cycle has a β of 0, and the next one hardly more."""
    given = {"epochs": 6, "kl-cycles": 3, "kl-warmup": 2, "beta": 4}
    directory = new_run(own_runs, **given)
    down, up = protocol.Set(beta_factor=0.8), protocol.Set(beta_factor=1.25)
    second_cycle = 2 * (STEPS + 2)  # the look between the evaluations of epoch 2, where β is 0
    inbox = Script({second_cycle: [down, up, up], second_cycle + 1: [down]})
    assert train_here(directory, inbox) == 0
    first = inbox.replies[:3]
    assert [(reply.beta, reply.rising_to) for reply in first] == [(0, 3.2), (0, 4), (0, 5)]
    assert inbox.replies[3].rising_to == 4 and 0 < inbox.replies[3].beta < 1
    told = [(event.before, event.value) for event in events(directory, ev.ControlEvent)]
    assert told[:3] == [(4, 3.2), (3.2, 4), (4, 5)]  # where β is 0, it tells what β rises to

    directory = new_run(own_runs, **{**given, "beta": 0})
    inbox = Script({second_cycle: [down, up, down], second_cycle + 1: [ASK[0]]})
    assert train_here(directory, inbox) == 0
    assert [reply.rising_to for reply in inbox.replies] == pytest.approx([0, protocol.FIRST_BETA, 0.08, 0.08])
    values = [event.value for event in events(directory, ev.ControlEvent)]
    assert values == pytest.approx([protocol.FIRST_BETA, 0.08])


def test_what_is_set_to_the_value_in_force_is_no_change_and_is_not_logged(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, schedule="constant", lr=1e-3, beta=2)
    same = [protocol.Set(lr=1e-3), protocol.Set(beta=2), protocol.Set(lr_factor=1), protocol.Set(lr=1e-3, beta=2)]
    changes = [protocol.Set(lr=3e-4), protocol.Set(lr=3e-4, beta=2)]
    inbox = Script({1: [*same, *changes]})
    assert train_here(directory, inbox) == 0
    assert [reply.lr for reply in inbox.replies] == pytest.approx([1e-3] * 4 + [3e-4] * 2)
    assert [reply.beta for reply in inbox.replies] == [2] * 6
    (control,) = events(directory, ev.ControlEvent)
    assert (control.command, control.value, control.before) == ("set lr", 3e-4, pytest.approx(1e-3))


def test_a_value_and_a_factor_for_the_same_thing_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="a value and a factor"):
        protocol.decode_request(msgspec.msgpack.encode({"type": "Set", "lr": 1e-3, "lr_factor": 1.25}))


@pytest.mark.parametrize(
    ("wanted", "spare", "threads"),
    [(None, 4.0, 4), (None, 3.4, 4), (None, 3.2, 3), (None, 1.1, 1), (None, 0.0, 1), (None, math.inf, 4), (4, 0.0, 4)],
)
def test_cores_that_others_keep_busy_are_left_to_them_unless_threads_are_asked_for(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, wanted: int | None, spare: float, threads: int
) -> None:
    monkeypatch.setattr("tui_vae.core.devices.usable_cores", lambda: 4)
    monkeypatch.setattr(SpareCores, "count", lambda _: spare)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the other tests' as well
    directory = new_run(own_runs, epochs=1, threads=wanted)
    assert train_here(directory) == 0
    (run,) = events(directory, ev.RunEvent)
    assert run.threads == threads
    told = [event.message for event in events(directory, ev.WarningEvent) if "keep cores busy" in event.message]
    assert told == ([] if threads == 4 else [f"other processes keep cores busy: training on {threads} of 4 threads"])


def test_a_busy_core_is_not_spare() -> None:
    cores = usable_cores()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        spare = SpareCores()
        assert spare.count() == math.inf  # too early to tell
        time.sleep(2)
        assert 0 <= spare.count() < cores - 0.5
        busy.kill()


def test_a_change_of_beta_during_its_warm_up_says_what_it_will_rise_to(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=4, **{"kl-warmup": 3})
    inbox = Script({6: [protocol.Set(beta=2)], 15: [protocol.Set(lr=1e-3)]})
    assert train_here(directory, inbox) == 0
    early, late = inbox.replies
    assert early.beta == pytest.approx(2) and early.rising_to > 3
    assert (late.beta, late.rising_to) == (early.rising_to, None)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "constant"])
def test_a_change_in_the_very_last_moment_does_no_harm(own_runs: Path, schedule: str) -> None:
    """The schedule has come to its end, cosine's at 0; the change is for the epochs that may follow."""
    directory = new_run(own_runs, epochs=1, schedule=schedule)
    inbox = Script({STEPS + 1: [protocol.Set(lr=1e-3)], STEPS + 2: [protocol.Set(beta=0.5)]})
    assert train_here(directory, inbox) == 0
    assert events(directory, ev.StateEvent)[-1].state == "finished"
    steps, lr, _ = course(directory, more_epochs=3)
    assert len(steps) == 9
    assert 0 < max(lr) <= 2e-3 * (1 + 1e-9)


def test_both_sides_of_an_epoch_are_evaluated_with_the_same_beta(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, objective="mse")
    inbox = Script({STEPS + 1: [protocol.Set(beta=100)]})  # between the evaluations of test and train
    assert train_here(directory, inbox) == 0
    (event,) = events(directory, ev.EpochEvent)
    beta_test, beta_train = ((side.loss - side.recon) / side.kl for side in (event.test, event.train))
    assert beta_test == pytest.approx(beta_train)


def test_whoever_looks_at_a_run_that_diverges_is_refused_and_it_ends_as_it_would_alone(own_runs: Path) -> None:
    wild = {"lr": 10, "objective": "mse", "schedule": "constant", "norm": "none", "output": "linear", "epochs": 4}
    alone, watched = new_run(own_runs, **wild), new_run(own_runs, **wild)
    inbox = Script(dict.fromkeys(range(1, 100), LOOK_INSIDE))
    assert train_here(alone) == train_here(watched, inbox) == 1
    assert figures(alone) == figures(watched)
    ruined = read_history(watched.events).epochs[-1].test
    assert ruined.loss is ruined.mse is ruined.accuracy is None
    assert any(isinstance(reply, protocol.Failure) for reply in inbox.replies)
    assert [event.message for event in events(watched, ev.ErrorEvent)] == [
        event.message for event in events(alone, ev.ErrorEvent)]  # fmt: skip


def test_a_device_without_memory_ends_the_run_with_a_sentence(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has …")

    directory = new_run(own_runs)
    monkeypatch.setattr(Learner, "step", full)
    assert train_here(directory) == 1
    (error,) = events(directory, ev.ErrorEvent)
    assert error.message == "the device has no memory left for this run"
    assert f"tui-vae resume {directory.name}" in error.hint


def test_best_is_the_epoch_with_the_lowest_test_loss(own_runs: Path) -> None:
    """A learning rate that ruins the network in epoch 3: the best weights are those of epoch 2, and say so."""
    ruin = {2 * (STEPS + 2) + 1: [protocol.Set(lr=0.3)]}
    directory, short = new_run(own_runs, epochs=3, schedule="constant"), new_run(own_runs, schedule="constant")
    assert train_here(directory, Script(ruin)) == train_here(short) == 0
    losses = [event.test.loss for event in read_history(directory.events).epochs if event.test.loss is not None]
    assert len(losses) == 3 and losses.index(min(losses)) == 1, losses
    progress, weights = load_checkpoint(directory.best)
    assert (progress.evaluated, progress.step) == (2, 2 * STEPS)
    assert same(weights, {k: v for k, v in load_file(short.last).items() if k.startswith("model.")})


# -- Where nothing is trained ------------------------------------------------------------------------------------------


def test_who_only_serves_stays_until_its_last_client_has_gone(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs, epochs=1)
    assert train_here(directory) == 0
    monkeypatch.setattr("tui_vae.trainer.process.IDLE_LIMIT", 0.1)
    lock, inbox, caller = RunLock(directory, "serve"), Inbox(), Caller(directory)
    server = Server(directory, lock, inbox)
    server.start()
    with connected(directory):
        serve = RunProcess(directory, lock, inbox).run
        serving = threading.Thread(target=serve, args=(True, 0), daemon=True)
        serving.start()
        assert caller.ask(protocol.Describe(), protocol.Description).state == "serving"
    time.sleep(1.5)  # it looks every second whether anybody is still there
    assert serving.is_alive()
    caller.close()
    serving.join(20)
    assert not serving.is_alive()
    server.close()
    lock.release()


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
    assert (facts.state, facts.labels) == ("paused", dataset.test_labels.tobytes())
    indices = [499, 0, 7]
    pairs = request(living, protocol.Reconstruct(indices=indices), protocol.Reconstructions)
    original = np.frombuffer(pairs.originals, np.uint8).reshape(3, 28, 28)
    made = np.frombuffer(pairs.reconstructions, np.uint8).reshape(3, 28, 28)
    np.testing.assert_array_equal(original, dataset.test_images[indices])
    assert pairs.labels == dataset.test_labels[indices].tobytes()
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


def connected(directory: RunDirectory) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(directory.socket))
    return client


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
    sweep(living)
    with pytest.raises(RequestError):
        request(living, protocol.Set(), protocol.Done)

    def answers() -> bool:
        try:
            return bool(request(living, protocol.Set(), protocol.Done))
        except RequestError:
            return False

    wait_until(answers, timeout=10)


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
