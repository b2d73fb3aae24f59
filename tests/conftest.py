"""What every test stands on: temporary directories instead of the user's own; real runs, ended by their own pids."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.processes import SMALL, Trained, command, end_processes, finish
from tui_vae.runs.directory import RunDirectory

# How long an example takes says more about the machine than about the code. Where a change is judged (CI is set, as
# every CI service sets it) the same code gets the same examples; at a desk each run tries new ones.
hypothesis.settings.register_profile("tui-vae", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("tui-vae")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="store the screens as they are now")


def pytest_configure() -> None:
    """Have the processes that tests start hear signals, also where `nohup` or a job in the background ignores them."""
    for number, handler in (
        (signal.SIGHUP, signal.SIG_DFL), (signal.SIGQUIT, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler),
    ):  # fmt: skip
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the walk over all screens, the longest test, so that no worker waits for it at the end."""
    items.sort(key=lambda item: "test_every_view_in_every_terminal" not in item.name)


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


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary directory in which a socket's path has room; `tmp_path` may be too deep for that."""
    with tempfile.TemporaryDirectory(prefix="tv-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runs directory and preferences for each test; its processes end with it."""
    runs = tmp_path / "checkpoints"
    settings = tmp_path.with_name(f"{tmp_path.name}-settings")
    settings.mkdir()
    monkeypatch.setenv("TUI_VAE_STATE", str(settings / "state"))
    monkeypatch.setenv("TUI_VAE_CONFIG", str(settings / "config.toml"))
    monkeypatch.setenv("TUI_VAE_RUNS", str(runs))
    yield runs
    end_processes(runs)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A finished run: 3 epochs of 21 steps, the last batch smaller; the one that all tests of finished runs look at."""
    runs = tmp_path_factory.mktemp("trained")
    code, out, err = finish(command("train", "--json", "--runs-dir", runs, "--name", "done", "--epochs", 3, *SMALL))
    assert code == 0, err
    return Trained(RunDirectory(runs / "done"), out, err)
