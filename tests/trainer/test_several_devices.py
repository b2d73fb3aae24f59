"""One run on two devices, as two processes on a CPU: one device's figures, and the same commands, signals and files."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import command, events, finish, wait_until
from tests.support.ranks_of_runs import WORKER, ranks_of
from tests.support.training import TINY, Script, new_run
from tui_vae.cli import main
from tui_vae.config import make_config
from tui_vae.core.core_limits import usable_cores
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.runs.machines import Machines
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.trainer.process import RunProcess
from tui_vae.trainer.several.lines import Hello, Loaded, Welcome
from tui_vae.trainer.several.placement import place
from tui_vae.trainer.several.supervisor import Supervisor
from tui_vae.trainer.several.switchboard import line_folder

LAST_ALONE = {"train-limit": 385}
"""Batches of 192, 192 and 1 image: of the last one, one of two ranks has none."""


def options(given: dict[str, Any]) -> list[str]:
    return [word for name, value in {**TINY, **given}.items() for word in (f"--{name}", str(value))]


def train_alone(directory: RunDirectory, inbox: Script | None = None, more_epochs: int = 0) -> int:
    """Train on one device, in the test's own process."""
    lock = RunLock(directory, "train")
    try:
        wanted = protocol.Resume(epochs=more_epochs, devices=1)
        return RunProcess(directory, lock, inbox or Script()).run(False, wanted)
    finally:
        lock.release()


def assert_like_one_device(found: RunDirectory, alone: RunDirectory) -> None:
    """The figures of each epoch within a thousandth, and the noise that is drawn next to the last bit."""
    ours = {event.epoch: event for event in events(found, ev.EpochEvent)}
    theirs = {event.epoch: event for event in events(alone, ev.EpochEvent)}
    assert ours.keys() == theirs.keys()
    for epoch, event in ours.items():
        for part in ("train", "test"):
            one, other = getattr(event, part), getattr(theirs[epoch], part)
            for figure in ("loss", "recon", "kl", "mse", "elbo_bpd"):
                expected = pytest.approx(getattr(other, figure), rel=1e-3)
                assert getattr(one, figure) == expected, (epoch, part, figure)
    mine, other = load_file(found.last), load_file(alone.last)
    assert mine.keys() == other.keys()
    assert bool((mine["noise"] == other["noise"]).all())


def assert_ends(directory: RunDirectory, processes: dict[int, psutil.Process]) -> None:
    wait_until(lambda: not directory.is_training())
    wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in processes.values()))


@pytest.mark.slow
def test_two_processes_have_the_figures_of_one_and_hand_over_to_one_and_back(own_runs: Path) -> None:
    alone = new_run(own_runs, name="alone", epochs=4, **LAST_ALONE)
    assert train_alone(alone) == 0

    mixed = new_run(own_runs, name="mixed", epochs=4, **LAST_ALONE)
    assert train_alone(mixed, Script({4: [protocol.Stop()]})) == 0  # within the first epoch
    stopped_at = load_checkpoint(mixed.last)[0].step
    assert finish(command("resume", "mixed", "--devices", 2))[0] == 0
    wait_until(lambda: len(events(mixed, ev.EpochEvent)) >= 2)
    finish(command("stop", "mixed"))
    progress = load_checkpoint(mixed.last)[0]
    if not progress.finished:
        assert events(mixed, ev.RunEvent)[-1].config["devices"] == progress.config["devices"] == 2
        assert train_alone(mixed) == 0
        assert load_checkpoint(mixed.last)[0].config["devices"] == 1
    assert stopped_at < progress.step
    assert_like_one_device(mixed, alone)


def replayed(directory: RunDirectory, name: str, steps: int) -> RunDirectory:
    """The same run on one device, with the same changes after the same steps, stopped where that was stopped.

    An epoch has so many `steps`, and two evaluations with one look each into the inbox.
    """
    requests: dict[int, list[protocol.AnyRequest]] = {}
    for event in events(directory, ev.ControlEvent):
        look = event.step + 2 * ((event.step - 1) // steps)
        if event.command == "set lr":
            requests.setdefault(look, []).append(protocol.Set(lr=event.value))
        elif event.command == "stop":
            requests.setdefault(look, []).append(protocol.Stop())
    again = new_run(directory.path.parent, name=name, **STEERED)
    assert train_alone(again, Script(requests)) == 0
    return again


STEERED = {"epochs": 4000, "schedule": "constant", "optimizer": "adam"}


@pytest.mark.slow
def test_what_is_asked_of_a_run_reaches_all_its_processes_at_one_step(own_runs: Path) -> None:
    process = command("train", "--name", "both", "--devices", 2, "--json", *options(STEERED))
    directory = RunDirectory(own_runs / "both")
    wait_until(lambda: events(directory, ev.EpochEvent))
    ranks = ranks_of(directory)
    assert sorted(ranks) == [0, 1]

    os.kill(process.pid, signal.SIGHUP)  # the terminal goes: nothing of the run cares
    holder = directory.holder()
    assert holder is not None
    for pid in (holder.pid, *(each.pid for each in ranks.values())):
        os.kill(pid, signal.SIGHUP)
    assert finish(command("set", "both", "lr=5e-4"))[0] == 0
    assert finish(command("pause", "both"))[0] == 0
    assert events(directory, ev.StateEvent)[-1].state == "paused"
    at = load_checkpoint(directory.last)[0].step
    assert finish(command("set", "both", "lr=2e-4"))[0] == 0
    assert load_checkpoint(directory.last)[0].step == at
    assert finish(command("resume", "both"))[0] == 0
    code, out, _ = finish(command("checkpoint", "both"))
    assert code == 0 and "checkpoint written at step" in out
    assert finish(command("show", "both", "--images", 2))[0] == 0  # the leader answers between two steps
    assert sorted(ranks_of(directory)) == [0, 1] and ranks_of(directory)[1].pid == ranks[1].pid
    os.kill(holder.pid, signal.SIGTERM)
    assert_ends(directory, ranks)
    stop = events(directory, ev.ControlEvent)[-1]
    assert (stop.command, stop.step) == ("stop", load_checkpoint(directory.last)[0].step)
    assert events(directory, ev.StateEvent)[-1].state == "stopped"

    alone = replayed(directory, "alone", steps=3)
    assert load_checkpoint(alone.last)[0].step == stop.step
    assert_like_one_device(directory, alone)


@pytest.mark.slow
def test_a_killed_process_costs_the_steps_since_the_last_checkpoint(own_runs: Path) -> None:
    process = command("train", "--name", "killed", "--devices", 2, "--json", *options({"epochs": 40, **LASTING}))
    directory = RunDirectory(own_runs / "killed")
    wait_until(lambda: ranks_of(directory))
    early = next(iter(ranks_of(directory).items()))
    early[1].kill()  # before it has said a word; the other one is not to blame
    named = f"rank {early[0]} (process {early[1].pid}) was ended by SIGKILL: all go on from the last checkpoint"
    wait_until(lambda: named in [event.message for event in events(directory, ev.WarningEvent)])
    wait_until(lambda: events(directory, ev.CheckpointEvent))
    first = ranks_of(directory)
    first[1].kill()
    wait_until(lambda: len(events(directory, ev.RunEvent)) > 1)  # begun again
    code, _, err = finish(process, 180)
    assert code == 0, err
    warnings = [event.message for event in events(directory, ev.WarningEvent)]
    assert f"rank 1 (process {first[1].pid}) was ended by SIGKILL: all go on from the last checkpoint" in warnings
    assert_ends(directory, first)

    alone = new_run(own_runs, name="alone", epochs=40, **LASTING)
    assert train_alone(alone) == 0
    assert_like_one_device(directory, alone)


LASTING = {"optimizer": "adam", "train-limit": 6000}


@pytest.mark.long
def test_a_process_that_hangs_is_ended_and_named(own_runs: Path) -> None:
    environment = {**os.environ, "TUI_VAE_HANG_LIMIT": "6"}
    process = command(
        "train", "--name", "hung", "--devices", 2, *options({"epochs": 100_000, **LASTING}), env=environment
    )
    directory = RunDirectory(own_runs / "hung")
    for number, rank in enumerate((1, 0), start=1):
        wait_until(lambda: len(events(directory, ev.RunEvent)) == number and len(ranks_of(directory)) == 2)  # noqa: B023
        wait_until(lambda: events(directory, ev.CheckpointEvent))
        victim = ranks_of(directory)[rank]
        victim.suspend()
        wait_until(lambda: not victim.is_running() or victim.status() == "zombie")  # noqa: B023
        says = f"rank {rank} (process {victim.pid}) has not answered for 6 s, and is ended"
        wait_until(lambda: says in [event.message for event in events(directory, ev.WarningEvent)])  # noqa: B023
    wait_until(lambda: len(events(directory, ev.RunEvent)) == 3)
    ranks = ranks_of(directory)
    assert finish(command("stop", "hung"))[0] == 0
    assert_ends(directory, ranks)
    assert finish(process)[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("restarts", [0, 1])
def test_a_run_fails_after_its_last_restart(own_runs: Path, restarts: int) -> None:
    process = command(
        "train", "--name", "tired", "--devices", 2, "--max-restarts", restarts, *options({"epochs": 100_000})
    )
    directory = RunDirectory(own_runs / "tired")
    for number in range(restarts + 1):
        wait_until(lambda: len(events(directory, ev.RunEvent)) == number + 1 and len(ranks_of(directory)) == 2)  # noqa: B023
        ranks = ranks_of(directory)
        ranks[0].kill()
    code, _, err = finish(process)
    assert code == 1
    assert f"rank 0 (process {ranks[0].pid}) was ended by SIGKILL" in err and "go on with: tui-vae resume tired" in err
    assert events(directory, ev.StateEvent)[-1].state == "failed"
    assert_ends(directory, ranks)


@pytest.mark.slow
def test_no_process_outlives_its_trainer(own_runs: Path) -> None:
    process = command("train", "--name", "orphans", "--devices", 2, *options({"epochs": 100_000}))
    directory = RunDirectory(own_runs / "orphans")
    wait_until(lambda: events(directory, ev.EpochEvent))
    ranks, holder = ranks_of(directory), directory.holder()
    assert sorted(ranks) == [0, 1] and holder is not None
    ranks[1].suspend()  # a stopped process as well
    os.kill(holder.pid, signal.SIGKILL)
    assert_ends(directory, ranks)
    code, _, err = finish(process)
    assert code == 1 and "the trainer of run 'orphans' died" in err
    (left,) = runtime_directory().glob("ranks-*")
    assert line_folder() != str(left) and not left.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the sentences here are those of a machine without a GPU")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"devices": 999}, "--devices 999: this machine has {cores} usable cores, and on a CPU each device is a core"),
        ({"devices": 2, "device": "cuda"}, "--devices 2: this machine has no CUDA devices"),
        ({"devices": 2, "device": "mps"}, "--devices 2: this machine has one Apple GPU"),
        ({"devices": 2, "device": "cuda:1"}, "--device cuda:1 is one device, and --devices 2 are several"),
    ],
)
def test_more_devices_than_there_are_are_one_sentence(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        place(make_config(given), None, is_new=True)
    assert error.value.message.startswith(says.format(cores=usable_cores().cores))
    assert error.value.hint.startswith("train with --device")


def test_a_finished_run_that_is_refused_so_many_devices_stays_finished(own_runs: Path) -> None:
    directory = new_run(own_runs)
    assert train_alone(directory) == 0
    before = directory.events.read_bytes()
    resume = command("resume", directory.name, "--epochs", 1, "--devices", 999, "--runs-dir", own_runs)
    code, _, said = finish(resume)
    assert code == 1 and "--devices 999" in said
    assert directory.events.read_bytes()[len(before) :] == b""


def test_a_run_that_goes_on_where_there_are_fewer_devices_takes_those() -> None:
    elsewhere = place(make_config({"devices": 999, "device": "cpu"}), None, is_new=False)
    assert elsewhere.devices == usable_cores().cores
    assert "no 999 devices here any more: going on with" in elsewhere.warning
    with pytest.raises(UserError):  # but not where somebody asks for them
        place(make_config({"device": "cpu"}), 999, is_new=False)


def test_a_job_that_comes_again_where_there_are_fewer_devices_is_refused_before_anything_is_written(
    own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run(own_runs, name="job", devices=999)
    before = {path: path.stat().st_mtime_ns for path in own_runs.rglob("*")}
    assert main(["train", "--name", "job", "--resume-if-exists", *options({"devices": 999})]) == 1
    assert "--devices 999: this machine has" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in own_runs.rglob("*")} == before


def test_a_factor_on_the_learning_rate_holds_until_a_checkpoint_has_it(own_runs: Path) -> None:
    directory = new_run(own_runs)
    log = ev.EventLog(directory.events)
    lock = RunLock(directory, "train")

    def save(progress: Progress) -> None:
        save_checkpoint(directory.last, progress, {})

    progress = Progress(config=directory.read_config().to_dict(), segments=[2], beta=1.0, step=3)
    try:
        save(progress)
        start = Supervisor(directory, log, Script(), lock, protocol.Resume(lr_factor=0.5), Welcome(leads=True), 2,
                           Machines(), lambda loaded: None)  # fmt: skip
        leader = Hello(rank=0, local=0, pid=1)
        assert start._welcome(leader).lr_factor == 0.5
        start._loaded(Loaded(log=None, planned=2))
        assert start._welcome(leader).lr_factor == 0.5, "a worker was lost before the first checkpoint"
        save(replace(progress, step=4, lr_scale=0.5))
        assert start._welcome(leader).lr_factor is None
    finally:
        lock.release()
        log.close()


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("localhost", 0))
        return int(place.getsockname()[1])


@pytest.mark.long
def test_two_machines_train_one_run_and_begin_again_where_one_loses_a_process(own_runs: Path) -> None:
    """Both are this one: each has a trainer of its own, and they meet at a port."""
    meet = ("--nnodes", 2, "--rdzv-endpoint", f"localhost:{free_port()}", *options({"epochs": 100_000, **LASTING}))
    helper = command("train", "--name", "far", "--node-rank", 1, *meet)
    leader = command("train", "--name", "far", "--node-rank", 0, "--json", *meet)
    directory = RunDirectory(own_runs / "far")
    wait_until(lambda: events(directory, ev.CheckpointEvent))
    (far,) = [each for each in psutil.Process(helper.pid).children() if WORKER in each.cmdline()]
    far.kill()
    wait_until(lambda: len(events(directory, ev.RunEvent)) > 1)
    done = len(events(directory, ev.EpochEvent))
    wait_until(lambda: len(events(directory, ev.EpochEvent)) > done)
    assert finish(command("stop", "far"))[0] == 0
    code, out, err = finish(leader)
    assert code == 0, err
    numbers = [json.loads(line)["epoch"] for line in out.splitlines()]
    assert numbers[-1] == max(numbers) > done
    code, out, err = finish(helper)
    assert code == 0, err
    assert out == "machine 1 of 2: 1 ranks of the run of machine 0\n"
    assert f"(process {far.pid}) was ended by SIGKILL" in err


@pytest.mark.long
def test_a_machine_that_helps_says_in_two_lines_that_machine_0_is_lost(own_runs: Path) -> None:
    meet = ("--nnodes", 2, "--rdzv-endpoint", f"localhost:{free_port()}", *options({"epochs": 100_000, **LASTING}))
    helper = command("train", "--name", "far", "--node-rank", 1, *meet)
    leader = command("train", "--name", "far", "--node-rank", 0, *meet)
    directory = RunDirectory(own_runs / "far")
    wait_until(lambda: events(directory, ev.CheckpointEvent))
    trainer = directory.process()
    assert trainer is not None
    lost = [psutil.Process(trainer), *psutil.Process(trainer).children(recursive=True)]
    for each in lost:
        each.kill()
    code, _, err = finish(helper)
    finish(leader)
    assert code == 1 and err.count("\n") == 2 and "has lost another process of the run" in err
    assert "tui-vae: machine 0 of the run cannot be reached any more; go on with the run on all machines" in err


@pytest.mark.slow
def test_a_run_that_waits_for_other_machines_says_so_and_can_be_stopped(own_runs: Path) -> None:
    meet = ("--nnodes", 2, "--node-rank", 0, "--rdzv-endpoint", f"localhost:{free_port()}")
    process = command("train", "--name", "alone", *meet, *options({"epochs": 1}))
    directory = RunDirectory(own_runs / "alone")
    wait_until(lambda: "waiting for the other machines" in [each.reason for each in events(directory, ev.StateEvent)])
    process.terminate()
    code, _, err = finish(process)
    assert code == 130, err
    assert events(directory, ev.StateEvent)[-1].state == "stopped"
    assert finish(command("resume", "alone"))[0] == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--nnodes", 2), "--nnodes needs --node-rank: which machine this is, from 0"),
        (("--nnodes", 2, "--node-rank", 0), "--nnodes needs --rdzv-endpoint HOST:PORT"),
        (("--nnodes", 2, "--node-rank", 2, "--rdzv-endpoint", "here:1"), "--node-rank 2 is none of 2 machines"),
        (("--nnodes", "4:2", "--node-rank", 0), "--nnodes must be a number of machines, or MIN:MAX, not '4:2'"),
        (("--devices", 0), "devices must be a whole number of at least 1 and at most 1024, or auto, not '0'"),
    ],
)
def test_machines_that_cannot_meet_are_wrong_usage(own_runs: Path, given: tuple[object, ...], says: str) -> None:
    outside = {name: value for name, value in os.environ.items() if name != "SLURM_NODEID"}
    code, out, err = finish(command("train", *given, env=outside))
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1
    assert not own_runs.exists() or not list(own_runs.iterdir())
