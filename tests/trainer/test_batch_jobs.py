"""A batch system's job that is stopped and comes again: its run goes on, bit for bit, and does not begin anew."""

import json
import os
import signal
import sys
from pathlib import Path
from subprocess import Popen

import pytest
from safetensors.torch import load_file

from tests.support.processes import SMALL, command, events, finish, kill_trainer, wait_until
from tests.support.training import same
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.trainer.checkpoints import load_checkpoint

SETTINGS = {word.removeprefix("--"): value for word, value in zip(SMALL[::2], SMALL[1::2], strict=True)}


def job(*more: object) -> Popen[str]:
    return command("train", "--name", "job", "--json", *SMALL, "--resume-if-exists", *more)


def epochs_in(out: str) -> list[int]:
    return [json.loads(line)["epoch"] for line in out.splitlines()]


@pytest.mark.slow
def test_a_job_that_is_stopped_goes_on_when_it_comes_again(own_runs: Path) -> None:
    directory = RunDirectory(own_runs / "job")
    process = job("--epochs", 15)
    wait_until(lambda: events(directory, ev.EpochEvent))
    os.kill(process.pid, signal.SIGUSR1)
    os.kill(process.pid, signal.SIGTERM)  # batch systems repeat themselves
    code, out, err = finish(process)
    assert code == 75 and "continue with: tui-vae resume job" in err
    stop = events(directory, ev.ControlEvent)[-1]
    assert (stop.command, stop.step) == ("stop", load_checkpoint(directory.last)[0].step)

    process = job("--epochs", 15)  # then the machine fails
    done = len(events(directory, ev.EpochEvent))
    wait_until(lambda: len(events(directory, ev.EpochEvent)) > done)
    kill_trainer(directory)
    assert finish(process)[0] == 1

    code, more, _ = finish(job("--epochs", 15))
    assert code == 0 and epochs_in(more)[-1] == 15
    assert epochs_in(more)[0] > epochs_in(out)[-1]  # what was reported is not reported again
    assert finish(command("train", "--name", "at-once", *SMALL, "--epochs", 15))[0] == 0
    assert same(load_file(directory.last), load_file(own_runs / "at-once" / "last.safetensors"))

    code, out, err = finish(job("--epochs", 15))
    assert (code, out, err) == (0, "", "run 'job' has finished already\n")


def test_a_run_of_other_options_is_left_alone(own_runs: Path) -> None:
    assert finish(job("--epochs", 1))[0] == 0
    log = (own_runs / "job" / "events.jsonl").read_bytes()
    code, _, err = finish(job("--epochs", 2))
    assert code == 2 and "there is a run 'job' already, with epochs 1, not 2; choose another --name" in err
    assert (own_runs / "job" / "events.jsonl").read_bytes() == log
    code, _, err = finish(command("train", "--resume-if-exists", *SMALL))
    assert code == 2 and "--resume-if-exists needs a name to find the run by; add --name" in err
    assert [path.name for path in own_runs.iterdir() if not path.name.startswith(".")] == ["job"]


def test_a_trainer_that_is_tied_to_a_worker_of_a_cluster_stops_without_it(own_runs: Path) -> None:
    """The cluster starts the run anew on another machine: never may two processes train it."""
    directory, _ = create_run(own_runs, make_config({**SETTINGS, "name": "tied", "epochs": 1_000_000}))
    start = "import sys, time; from pathlib import Path; from tui_vae.runs.launch import start_training; " \
            "from tui_vae.runs.directory import RunDirectory; " \
            "start_training(RunDirectory(Path(sys.argv[1])), tied=True); time.sleep(600)"  # fmt: skip
    worker = Popen([sys.executable, "-P", "-c", start, str(directory.path)], start_new_session=True)
    wait_until(lambda: events(directory, ev.StepEvent))
    worker.kill()
    worker.wait()
    wait_until(lambda: directory.holder() is None)
    assert events(directory, ev.StateEvent)[-1].state == "stopped"
    assert load_checkpoint(directory.last)[0].step == events(directory, ev.ControlEvent)[-1].step
