"""`sweep --on ray` with a real cluster of two nodes on this machine: a node lost, workers killed, signals, failures."""

import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.extras import needs_ray
from tests.support.processes import command, events, finish, wait_until
from tests.support.ray_nodes import ray_nodes
from tests.support.terminal import Terminal
from tui_vae.cli.sweep.node import order, placed, train_here
from tui_vae.cli.sweep.ray_cluster import RayRoom, Share
from tui_vae.cli.sweep.ray_driver import Node
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory

QUICK = (
    "--device", "cpu", "--precision", "float32", "--train-limit", "600", "--test-limit", "100", "--hidden", "24",
    "--batch-size", "96", "--objective", "mse", "--norm", "none", "--output", "linear", "--schedule", "constant",
    "--optimizer", "adam",
)  # fmt: skip


def states(directory: RunDirectory) -> list[str]:
    return [event.state for event in events(directory, ev.StateEvent)]


def epochs(directory: RunDirectory) -> list[int]:
    return [event.epoch for event in events(directory, ev.EpochEvent)]


@pytest.mark.slow
@needs_ray
def test_it_goes_on_when_a_node_is_lost_and_when_a_run_fails(own_runs: Path) -> None:
    first, second, bad = (RunDirectory(own_runs / f"far-lr-{lr}") for lr in ("0.001", "0.002", "10"))
    with ray_nodes(2) as nodes:
        sweep = command("sweep", "--on", f"ray={nodes.address}", "--name", "far", *QUICK, "--lr", "0.001,0.002,10",
                        "--epochs", 200)  # fmt: skip
        wait_until(lambda: epochs(first) and epochs(second))
        nodes.kill(0)
        code, out, err = finish(sweep, 150)
    assert code == 1 and "1 of 3 runs did not finish (far-lr-10: the weights diverged in epoch 1" in err
    assert states(bad)[-1] == "failed"
    assert (
        f"Ray at {nodes.address}: 3 nodes with 2 CPUs, 1 CPU for each run\n" in out and "Ray has lost the node " in out
    )
    assert out.isascii() and all(line.isprintable() for line in out.splitlines())
    for run in (first, second):
        assert states(run)[-1] == "finished" and set(epochs(run)) == set(range(1, 201))
        assert {event.threads for event in events(run, ev.RunEvent)} == {1}
    assert sorted(len(events(run, ev.RunEvent)) for run in (first, second)) == [1, 2]  # one was on the lost node


@needs_ray
@pytest.mark.long
def test_no_trainer_outlives_its_worker_or_its_sweep_and_control_c_stops_all(own_runs: Path) -> None:
    first, second, third = (RunDirectory(own_runs / f"sweep-lr-{lr}") for lr in ("0.001", "0.002", "0.003"))
    with ray_nodes(2) as nodes:
        words = ("sweep", "--on", f"ray={nodes.address}", *QUICK, "--lr", "0.001,0.002,0.003",
                 "--epochs", 1_000_000, "--jobs", 2)  # fmt: skip
        sweep = command(*words)
        wait_until(lambda: epochs(first) and epochs(second))
        trainer = first.process()
        assert trainer is not None
        worker = psutil.Process(trainer).parent()
        assert worker is not None
        worker.kill()
        wait_until(lambda: len(events(first, ev.RunEvent)) == 2)  # the task has begun anew
        assert not psutil.pid_exists(trainer) and len(events(second, ev.RunEvent)) == 1
        os.kill(sweep.pid, signal.SIGINT)
        code, out, _ = finish(sweep)
        assert code == 130 and "stopped; go on with: tui-vae sweep --on" in out and not third.config.exists()
        assert all(states(run)[-1] == "stopped" and run.last.is_file() for run in (first, second))

        sweep = command(*words)
        wait_until(lambda: len(events(first, ev.RunEvent)) == 3 and len(events(second, ev.RunEvent)) == 2)
        os.kill(sweep.pid, signal.SIGHUP)
        assert finish(sweep)[0] == -signal.SIGHUP
        wait_until(lambda: not first.is_training() and not second.is_training())
        assert states(first)[-1] == states(second)[-1] == "stopped"


@pytest.mark.slow
@needs_ray
def test_an_address_where_no_cluster_is_makes_one_sentence(tui_vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("sweep", *QUICK, "--lr", "0.001,0.002", "--on")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        assert_one_sentence(tui_vae(*words, f"ray={address}"), 1, f"no Ray cluster can be reached at {address}: ")
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert_one_sentence(tui_vae(*words, "ray"), 1, f"no Ray cluster can be reached at {address}: ")
    assert_one_sentence(tui_vae(*words, "ray=nonsense"), 2, "'nonsense' is no address of a Ray cluster")
    assert_one_sentence(tui_vae(*words, "rays"), 2, "it must be ray, ray=ADDRESS or slurm, not 'rays'")
    assert_one_sentence(tui_vae(*words[:-1], "--gpus", "1"), 2, "add --on ray or --on slurm")


@needs_ray
def test_an_address_that_never_answers_is_said_to_be_waited_for_and_how_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        words = (
            sys.executable,
            "-P",
            "-m",
            "tui_vae",
            "sweep",
            *QUICK,
            "--lr",
            "0.001,0.002",
            "--on",
            f"ray={address}",
        )
        with Terminal(words) as terminal:
            terminal.until(f"waiting up to 60 s for Ray at {address} ...")
            os.kill(terminal.pid, signal.SIGINT)
            assert terminal.wait() == 130


def test_without_ray_it_says_what_to_install(tui_vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.cli.sweep.ray_cluster.find_spec", lambda name: None)
    words = ("sweep", *QUICK, "--lr", "0.001,0.002", "--on", "ray")
    assert_one_sentence(tui_vae(*words), 1, "install it: pip install 'tui-vae[ray]'")


def test_a_machine_that_cannot_train_the_run_says_why(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.cli.sweep.node.SEEN", 0.0)
    wanted = make_config({"name": "far", "latent-dim": 2})
    lost = train_here(order(wanted, own_runs, "far", own_runs / ".sweep-far.ray.log"))
    assert "does not see" in lost.message and "on a disk that all machines share" in lost.hint
    own_runs.mkdir()
    other = msgspec.structs.replace(order(wanted, own_runs, "far", own_runs), version="0.0")
    assert "the sweep is of 0.0" in train_here(other).message
    assert not list(own_runs.iterdir())


def test_a_run_has_its_share_of_a_node() -> None:
    """Threads follow the CPUs; a GPU is taken where there is one; the largest run says how many fit."""
    auto, cpu, threads = (make_config(more) for more in ({}, {"device": "cpu"}, {"threads": 3}))
    assert Share().of(auto, has_gpus=False) == (1, 0) and Share().of(auto, has_gpus=True) == (1, 1)
    assert Share().of(cpu, has_gpus=True) == (1, 0) and Share().of(threads, has_gpus=False) == (3, 0)
    assert Share(4, 0.25).of(auto, has_gpus=True) == (4, 0.25)
    run = placed(auto, 4, 0.25)
    assert (run.device, run.threads) == ("cuda:0", 4)
    assert (placed(auto, 0.5, 0).device, placed(auto, 0.5, 0).threads, placed(threads, 4, 0).threads) == ("cpu", 1, 3)
    several = make_config({"devices": 2})
    assert Share().of(several, has_gpus=True) == (2, 2) and placed(several, 2, 2).device == "cuda"
    nodes = [Node("a", "10.0.0.1", 8, 1), Node("b", "10.0.0.2", 3, 2), Node("c", "10.0.0.3", 64, 0)]
    room = RayRoom([(1, 0.5), (2, 0.5)] * 9, None)
    room.look(nodes)
    assert room.count == room.fits(nodes) == 2 + 1
    assert RayRoom([(1, 8)], None).fits(nodes) == 0
