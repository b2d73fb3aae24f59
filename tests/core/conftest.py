"""A cache of datasets that is the test's alone, and the dataset's files as they were published."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.datasets import FILES, REAL
from tests.support.numpy_network import Network
from tests.support.processes import Trained
from tui_vae.cli import main
from tui_vae.core.data.datasets import Dataset, load

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported for the first time, which torchvision does too


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no system copy, no network but this machine's own."""
    for name in ("TUI_VAE_OFFLINE", "TUI_VAE_MIRROR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TUI_VAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUI_VAE_SYSTEM_DATA", str(tmp_path / "no-system-copy"))
    monkeypatch.setenv("TUI_VAE_MIRROR", "http://127.0.0.1:9/")
    return tmp_path / "cache" / "fashion-mnist"


@pytest.fixture(scope="session")
def published() -> dict[str, bytes]:
    """The four .gz files as they were published, by name.

    Debian's copies are the same but for the gzip header, which has lost the time and the name: put back, they give the
    published checksums.
    """
    times = {"train": 1504176606, "t10k": 1504176627}
    files = {}
    for file in FILES.values():
        data = (REAL / f"{file.name}.gz").read_bytes()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", times[file.name.split("-")[0]]) + data[8:10]
        files[f"{file.name}.gz"] = header + file.name.encode() + b"\0" + data[10:]
    return files


@pytest.fixture
def run_eval(trained: Trained, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["eval", "done", "--runs-dir", trained.runs_dir, *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load(train_limit=2000, test_limit=500)


@pytest.fixture(scope="module")
def network(trained: Trained) -> Network:
    return Network(trained)
