"""`sweep` with real runs: side by side, stopped and gone on with, with one that fails, in the background."""

import json
import os
import re
import signal
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import assert_one_sentence
from tests.support.processes import command, events, finish, wait_until
from tests.support.terminal import Terminal
from tui_vae.cli.sweep.detached import output_file
from tui_vae.cli.sweep.places import cores_to_use
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import LOADING_LIMIT, request
from tui_vae.runs.directory import RunDirectory, list_runs

QUICK = (
    "--device", "cpu", "--precision", "float32", "--train-limit", "600", "--test-limit", "100", "--hidden", "24",
    "--batch-size", "96",
)  # fmt: skip

LONG = (*QUICK, "--epochs", "100000")
"""More than any machine trains before it is stopped."""

needs_two_cores = pytest.mark.skipif(cores_to_use() < 2, reason="with one core nothing is side by side")


def runs_of(runs_dir: Path, *names: str) -> tuple[RunDirectory, ...]:
    return tuple(RunDirectory(runs_dir / name) for name in names)


def states(directory: RunDirectory) -> list[str]:
    return [event.state for event in events(directory, ev.StateEvent)]


def epochs(directory: RunDirectory) -> list[ev.EpochEvent]:
    return events(directory, ev.EpochEvent)


def pause(run: RunDirectory) -> None:
    """Pause a run as soon as it trains."""
    wait_until(run.is_training)
    request(run, protocol.Pause(), protocol.Done, LOADING_LIMIT)


@needs_two_cores
def test_runs_train_at_the_same_time_and_seeds_belong_together(own_runs: Path) -> None:
    first, second = runs_of(own_runs, "sweep-seed-0", "sweep-seed-1")
    code, out, err = finish(command("sweep", *QUICK, "--epochs", 150, "--seed", "0,1", "--json"))
    assert code == 0, err
    (a, b), (c, d) = ((found[0].t, found[-1].t) for found in map(epochs, (first, second)))
    assert max(a, c) < min(b, d)
    assert {events(each, ev.RunEvent)[0].threads for each in (first, second)} == {1}
    assert err.isascii() and all(line.isprintable() for line in err.splitlines())
    assert "1/2 sweep-seed-0: training\n" in err and re.search(r"2/2 sweep-seed-1: finished  mse 0\.", err)
    (row,) = json.loads(out)
    best = [min((each.test for each in epochs(run)), key=lambda test: test.loss or 0) for run in (first, second)]
    figures = [test.elbo_bpd for test in best if test.elbo_bpd is not None]
    assert row["n"] == 2
    assert row["mean"]["elbo_bpd"] == pytest.approx(sum(figures) / 2, rel=1e-12)
    assert row["spread"]["elbo_bpd"] == pytest.approx(abs(figures[0] - figures[1]) / 2**0.5, rel=1e-9)
    assert statistics.stdev(figures) == pytest.approx(row["spread"]["elbo_bpd"])


def test_a_failed_combination_does_not_end_the_sweep_and_says_which_and_why(own_runs: Path) -> None:
    arguments = ("sweep", *QUICK, "--epochs", 1, "--lr", "10,0.001", "--objective", "mse", "--norm", "none",
                 "--output", "linear", "--schedule", "constant", "--optimizer", "adam", "--jobs", 2)  # fmt: skip
    code, out, err = finish(command(*arguments))
    good, bad = runs_of(own_runs, "sweep-lr-0.001", "sweep-lr-10")
    assert_one_sentence((code, "", err), 1, "1 of 2 runs did not finish (sweep-lr-10: the weights diverged in epoch 1")
    assert "tui-vae sweep --device cpu" in err
    assert out.isascii() and all(line.isprintable() for line in out.splitlines())
    assert "1/2 sweep-lr-10: failed: the weights diverged in epoch 1" in out
    assert "2/2 sweep-lr-0.001: finished  mse 0." in out
    (row,) = [line for line in out.splitlines() if line.startswith("sweep-lr-10 ")]
    assert "failed" in row
    assert len(events(bad, ev.ErrorEvent)) == 1 and states(good)[-1] == "finished"


@pytest.mark.slow
def test_control_c_stops_all_after_a_checkpoint_and_the_same_command_goes_on(own_runs: Path) -> None:
    """In a terminal, with a table; then where none is, as the same command."""
    words = ("sweep", *QUICK, "--epochs", "20", "--name", "s", "--latent-dim", "2,4,6", "--jobs", "2")
    first, second, third = runs_of(own_runs, "s-latent-dim-2", "s-latent-dim-4", "s-latent-dim-6")
    with Terminal([sys.executable, "-P", "-m", "tui_vae", *words], 80, 24) as terminal:
        with ThreadPoolExecutor() as pool:  # so that none is finished before Ctrl-C comes
            list(pool.map(pause, (first, second)))
        screen = terminal.until(lambda text: text.count("paused") == 2)
        assert "waiting" in screen and "0/3 finished" in screen
        terminal.press("\x03")
        assert terminal.wait() == 130
        screen = terminal.text()
    assert screen.count("stopped") == 4, screen
    assert "go on with: tui-vae sweep --device cpu" in " ".join(screen.split())
    for run in (first, second):
        assert states(run)[-1] == "stopped" and not run.is_training()
        last = max(events(run, ev.CheckpointEvent), key=lambda event: event.t)
        assert all(last.step >= step.step for step in events(run, ev.StepEvent))
    assert not third.config.exists()

    code, out, err = finish(command(*words))
    assert (code, err) == (0, "")
    assert "1/3 s-latent-dim-2: was stopped, goes on\n" in out and "3/3 s-latent-dim-6: training\n" in out
    for run in (first, second, third):
        assert states(run)[-1] == "finished"
        assert [event.epoch for event in epochs(run)] == list(range(1, 21))
        assert run.name in out.split("\n\n")[-1]


@pytest.mark.long
def test_a_hang_up_leaves_what_trains_training_and_the_same_command_follows_it(own_runs: Path) -> None:
    words = ("sweep", *LONG, "--latent-dim", "2,4", "--jobs", 1)
    first, second = runs_of(own_runs, "sweep-latent-dim-2", "sweep-latent-dim-4")
    sweep = command(*words)
    wait_until(lambda: epochs(first))
    os.kill(sweep.pid, signal.SIGHUP)
    assert finish(sweep)[0] == -signal.SIGHUP
    assert first.is_training()
    sweep = command(*words)
    assert sweep.stdout is not None
    assert sweep.stdout.readline() == "1/2 sweep-latent-dim-2: is being trained already\n"
    assert_one_sentence(finish(command(*words)), 1, f"a sweep 'sweep' is going already (process {sweep.pid})")
    os.kill(sweep.pid, signal.SIGINT)
    assert finish(sweep)[0] == 130
    assert states(first)[-1] == "stopped"
    assert not second.config.exists()


@pytest.mark.slow
def test_in_the_background_it_outlives_its_terminal_and_a_signal_stops_it(own_runs: Path) -> None:
    words = ("sweep", *LONG, "--name", "far", "--latent-dim", "2,4", "--jobs", "2", "--detach")
    with Terminal([sys.executable, "-P", "-m", "tui_vae", *words], 100, 30) as terminal:
        assert terminal.wait() == 0
        said = terminal.text()
    log = output_file(own_runs, "far")
    (pid,) = map(int, re.findall(r"process (\d+)", said))
    assert "tail -f" in said and f"kill {pid}" in said
    try:
        first, second = runs_of(own_runs, "far-latent-dim-2", "far-latent-dim-4")
        for run in (first, second):
            wait_until(partial(epochs, run))
        os.kill(pid, signal.SIGHUP)
        assert_one_sentence(finish(command(*words)), 1, f"kill {pid}")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "go on with: tui-vae sweep" in log.read_text())
    assert [states(run)[-1] for run in (first, second)] == ["stopped", "stopped"]
    assert "\x1b" not in log.read_text() and "--detach" not in log.read_text()


@pytest.mark.slow
def test_nothing_is_left_of_a_run_that_the_trainer_refuses(own_runs: Path) -> None:
    code, _, err = finish(command("sweep", *QUICK, "--epochs", 1, "--norm", "batch", "--batch-size", "100,599"))
    assert code == 1 and "sweep-batch-size-599: the last step of an epoch of 600 images would have one image" in err
    assert {run.name for run in list_runs(own_runs)} == {"sweep-batch-size-96", "sweep-batch-size-100"}
