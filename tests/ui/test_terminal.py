"""The real app in a real terminal, as a person over SSH uses it: open, train, look, hang up, come back, stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.terminal import Terminal
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.history import History, read_history

TUI_VAE = (sys.executable, "-m", "tui_vae")
BRAILLE = re.compile(r"[\u2801-\u28ff]")
HALF_BLOCKS = re.compile(r"[▀▄█]{3}")


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runs"
    monkeypatch.setenv("TUI_VAE_RUNS", str(path))
    return path


def wait_for(run: RunDirectory, condition: Callable[[History], bool], seconds: float = 90) -> History:
    """Wait until the run's log says something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        history = read_history(run.events)
        if condition(history):
            return history
        time.sleep(0.1)
    raise AssertionError(f"the log never said so; its last state is {read_history(run.events).state}")


def state(history: History) -> str:
    return history.state.state if history.state else ""


@contextmanager
def stopping(run: RunDirectory) -> Iterator[None]:
    """End the run's process at the end, whatever happened."""
    try:
        yield
    finally:
        holder = run.holder()
        if holder is not None and holder.pid:
            os.kill(holder.pid, signal.SIGTERM)


def test_training_outlives_the_terminal(runs_dir: Path) -> None:
    """One key from a cold start to training, curves and half blocks; the line drops; coming back shows every epoch."""
    with Terminal([*TUI_VAE], columns=120, rows=40) as terminal:
        terminal.until("FashionMNIST")
        terminal.press("enter")
        terminal.until("training", seconds=90)
        run = list_runs(runs_dir)[0]
        with stopping(run):
            terminal.until(lambda text: bool(BRAILLE.search(text)))
            terminal.press("2")
            terminal.until(lambda text: "mse 0." in text and len(HALF_BLOCKS.findall(text)) > 20)
            dropped_at = wait_for(run, lambda history: len(history.epochs) >= 1).step
            terminal.hang_up()
            assert terminal.wait() != 0
            wait_for(run, lambda history: history.step > dropped_at)
            assert run.is_training()

            with Terminal([*TUI_VAE, "attach"], columns=120, rows=40) as again:
                again.until(run.name)
                again.press("1")  # it opens on the pane that was on screen when the line dropped
                again.until(lambda text: bool(BRAILLE.search(text)))
                history = wait_for(run, lambda history: len(history.epochs) >= 3)
                since_start = [f"{event.test.recon:.4g}" for event in history.epochs[:3]]
                again.until(lambda text: all(recon in text for recon in since_start))


def test_steering_from_the_keyboard(runs_dir: Path) -> None:
    """Attach, pause, resume, change the learning rate, stop after a checkpoint of that very step, leave."""
    started = subprocess.run([*TUI_VAE, "train", "--detach", "--epochs", "100000", "--train-limit", "5000"],
                             capture_output=True, text=True, check=True)  # fmt: skip
    run = RunDirectory(runs_dir / started.stdout.strip())
    with stopping(run), Terminal([*TUI_VAE, "attach", run.name], columns=100, rows=30) as terminal:
        wait_for(run, lambda history: history.step > 0)
        terminal.until("training")
        terminal.press("space")
        terminal.until("paused")
        paused_at = wait_for(run, lambda history: state(history) == "paused").step
        time.sleep(0.5)
        assert read_history(run.events).step == paused_at
        terminal.press("+")
        change = wait_for(run, lambda history: bool(history.controls) and history.controls[-1].command == "set lr")
        terminal.press("space")
        history = wait_for(run, lambda history: history.step > paused_at)
        assert change.controls[-1].value == pytest.approx(history.steps["lr"][-1], rel=0.05)
        terminal.press("x")
        terminal.until("checkpoint")
        terminal.press("enter")
        terminal.until("stopped")
        history = wait_for(run, lambda history: state(history) == "stopped")
        assert history.checkpoint is not None
        assert history.checkpoint.step == history.step
        assert run.last.exists()
        terminal.press("q")
        assert terminal.wait() == 0
