"""A trainer that waits warm: it becomes an ordinary trainer, or ends with the app."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import command, finish, wait_until
from tests.support.training import new_run, same, train_here
from tui_vae.runs.launch import start_training, trainer_environment
from tui_vae.runs.processes import lost_trainers
from tui_vae.runs.warm_trainer import WARM, WarmTrainer
from tui_vae.trainer.checkpoints import load_checkpoint

APP = """
import time
from pathlib import Path
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import start_training, trainer_environment
from tui_vae.runs.warm_trainer import WarmTrainer
warm = WarmTrainer(trainer_environment())
print(warm._process.pid, flush=True)
if run := input():
    print(start_training(RunDirectory(Path(run)), warm=warm).pid, flush=True)
time.sleep(60)
"""
"""An app that has a trainer wait, and hands it a run if it is told to."""

SETTINGS = ("GOMP_", "OMP_", "MALLOC_", "TUI_VAE_", "XDG_")
"""Beginnings of what a trainer's environment must say."""


@pytest.fixture
def app() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", APP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process
    process.kill()
    process.communicate()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_waits_without_a_terminal_or_a_directory_and_ends_with_a_killed_app(app: subprocess.Popen[str]) -> None:
    assert app.stdout is not None
    pid = int(app.stdout.readline())
    waiting = psutil.Process(pid)
    wait_until(lambda: waiting.cwd() == "/")
    assert (os.getsid(pid), waiting.terminal(), waiting.nice()) == (pid, None, min(19, os.nice(0) + 10))
    assert not [file.path for file in waiting.open_files() if file.path.endswith("/lock")]
    assert pid not in lost_trainers()
    app.kill()
    wait_until(lambda: is_gone(pid), 10)


def test_what_it_trains_has_the_same_bits(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on as the process that was started, with the working directory of whoever hands the run over."""
    monkeypatch.chdir(own_runs.parent)
    cold, warm = new_run(own_runs, name="cold", epochs=1), new_run(Path(own_runs.name), name="warm", epochs=1)
    waiting = WarmTrainer(trainer_environment())
    assert train_here(cold) == 0
    process = start_training(warm, warm=waiting)
    assert WARM in str(process.args)
    assert process.wait(60) == 0, warm.output(2000)
    assert same(load_checkpoint(warm.last)[1], load_checkpoint(cold.last)[1])


@pytest.mark.long
def test_a_run_that_was_handed_over_is_as_any_other(own_runs: Path, app: subprocess.Popen[str]) -> None:
    """Beside one that was started cold: the same process in all that can be told, and it outlives the app."""
    assert app.stdin is not None and app.stdout is not None
    cold, warm = (new_run(own_runs, name=name, epochs=100_000) for name in ("cold", "warm"))
    pid = int(app.stdout.readline())
    app.stdin.write(f"{warm.path}\n")
    app.stdin.flush()
    assert int(app.stdout.readline()) == pid
    others = start_training(cold).pid

    def facts(of: int) -> tuple[object, ...]:
        process = psutil.Process(of)
        streams = [os.readlink(f"/proc/{of}/fd/{stream}").replace("cold", "warm") for stream in range(3)]
        ignored = [line for line in Path(f"/proc/{of}/status").read_text().splitlines() if line.startswith("SigIgn")]
        umask = [line for line in Path(f"/proc/{of}/status").read_text().splitlines() if line.startswith("Umask")]
        settings = {name: value for name, value in process.environ().items() if name.startswith(SETTINGS)}
        return process.cwd(), process.nice(), process.terminal(), streams, ignored, umask, settings

    wait_until(lambda: cold.process() == others and warm.process() == pid)
    assert facts(pid) == facts(others)
    assert os.getsid(pid) == pid
    app.kill()
    os.kill(pid, signal.SIGHUP)
    time.sleep(1)
    assert warm.process() == pid
    assert finish(command("stop", "warm"))[0] == finish(command("stop", "cold"))[0] == 0
    wait_until(lambda: is_gone(pid))
