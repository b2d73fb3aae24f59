"""What every test stands on: temporary directories instead of the user's own; real runs, ended by their own pids."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import AnyEvent, LogTail

SMALL = (
    "--device", "cpu", "--threads", "1", "--precision", "float32", "--train-limit", "2000", "--test-limit", "500",
    "--hidden", "48", "--latent-dim", "8", "--batch-size", "96",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="store the screens as they are now")


@pytest.fixture(scope="session", autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No directory, dataset, network or terminal setting of the user's is seen or touched by any test."""
    home = tmp_path_factory.mktemp("world")
    runtime = tempfile.mkdtemp(prefix="tv-", dir="/tmp")  # short: a socket's path has at most 104 bytes
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TUI_VAE_")]:
            patch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "CLICOLOR_FORCE"):
            patch.delenv(name, raising=False)
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        patch.setenv("TRITON_CACHE_DIR", str(home / "triton"))
        patch.setenv("TUI_VAE_CACHE", str(home / "cache"))
        patch.setenv("TUI_VAE_SYSTEM_DATA", str(home / "no-system-copy"))  # so all train on the bundled sample
        patch.setenv("TUI_VAE_OFFLINE", "1")
        patch.setenv("TUI_VAE_RUNS", str(home / "runs"))
        yield home
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runs directory and habits for each test; its processes end with it."""
    runs = tmp_path / "checkpoints"
    settings = tmp_path.with_name(f"{tmp_path.name}-settings")
    settings.mkdir()
    monkeypatch.setenv("TUI_VAE_STATE", str(settings / "state"))
    monkeypatch.setenv("TUI_VAE_CONFIG", str(settings / "config.toml"))
    monkeypatch.setenv("TUI_VAE_RUNS", str(runs))
    yield runs
    end_processes(runs)


def end_processes(runs_dir: Path) -> None:
    for directory in list_runs(runs_dir):
        kill_trainer(directory)


def kill_trainer(directory: RunDirectory) -> None:
    """`kill -9` of the run's process, if it has one."""
    holder = directory.holder()
    if holder is not None and holder.pid not in (0, os.getpid()):
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: directory.holder() is None)


def wait_until(condition: Callable[[], Any], timeout: float = 60.0) -> Any:
    """What `condition` returns as soon as that is true."""
    start = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - start
        assert waited < timeout, "it did not happen in time"
        time.sleep(min(0.2, 0.01 + waited / 20))
    return value


def command(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """`tui-vae ARGUMENTS` in a process and a session of its own, its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_vae", *map(str, arguments)],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
           "start_new_session": True, **options},
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = 90.0) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process, once it has ended."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def events(directory: RunDirectory, *kinds: type[AnyEvent]) -> list[Any]:
    """The events of these kinds, or all, that the run's log holds now."""
    return [event for event in LogTail(directory.events).read_all() if not kinds or isinstance(event, kinds)]


@dataclass(frozen=True)
class Trained:
    """A run that `tui-vae train --json` has finished, and what that printed."""

    directory: RunDirectory
    stdout: str
    stderr: str

    @property
    def runs_dir(self) -> str:
        return str(self.directory.path.parent)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A finished run: 3 epochs of 21 steps, the last batch smaller; the one that all tests of finished runs look at."""
    runs = tmp_path_factory.mktemp("trained")
    code, out, err = finish(command("train", "--json", "--runs-dir", runs, "--name", "done", "--epochs", 3, *SMALL))
    assert code == 0, err
    return Trained(RunDirectory(runs / "done"), out, err)
