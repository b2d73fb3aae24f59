"""Downloading a dataset from a server on this machine, and what happens where that fails."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.datasets import needs_real
from tests.support.mirror import mirror, send, serving
from tui_vae.core.data.download import download
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.sources import resolve

pytestmark = pytest.mark.usefixtures("cache")


def not_found(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def never(request: BaseHTTPRequestHandler) -> None:
    time.sleep(60)


def login_page(request: BaseHTTPRequestHandler) -> None:
    send(request, b"<html>Welcome to this hotel</html>")


def cut_off(request: BaseHTTPRequestHandler) -> None:
    send(request, b"\x1f\x8b" + bytes(100_000), length=200_000)


def stalled(request: BaseHTTPRequestHandler) -> None:
    cut_off(request)
    time.sleep(60)


def start(call: str, **environment: str) -> subprocess.Popen[str]:
    """Another process that calls `sources.resolve` or `download.download` and prints what came of it."""
    code = f"""
import json
from tui_vae.core.data import download
from tui_vae.core.data import sources
download.STALL_SECONDS = 0.5
said = []
source = {call}("fashion-mnist", progress=said.append)
print(json.dumps([source.kind, source.train, source.reason, said]))
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> tuple[str, int, str, list[str]]:
    """Kind, training images, reason and progress texts of a process that was started by `start`, printing no more."""
    stdout, stderr = process.communicate(timeout=60)
    assert stderr == ""
    kind, train, reason, said = json.loads(stdout)
    return kind, train, reason, said


@pytest.mark.slow
@needs_real
def test_of_two_processes_that_mend_the_cache_one_downloads(
    cache: Path, published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = cache.parent / ".fashion-mnist-killed"
    leftover.mkdir(parents=True)
    cache.mkdir()
    for name in published:
        (cache / name).write_bytes(b"damaged")

    with mirror(serving(published)) as (url, requests):
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        both = [start("download.download"), start("download.download")]
        waited, downloaded = sorted(map(outcome, both))
        once = 2  # torchvision asks for each file twice: it first looks for redirections
        assert requests.count("/data/train-images-idx3-ubyte.gz") == once
        count = len(requests)
        assert resolve("fashion-mnist").kind == download().kind == "cache"
        assert len(requests) == count

    assert (waited[0], downloaded[0]) == ("cache", "download")
    assert waited[1] == downloaded[1] == 60_000
    assert waited[-1] == ["waiting for another download of FashionMNIST"]
    said = downloaded[-1]
    assert said[0] == "downloading FashionMNIST, 0.0 of 30.9 MB"
    assert all(re.fullmatch(r"downloading FashionMNIST, \d+\.\d of 30\.9 MB", text) for text in said)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == published
    assert not leftover.exists()


@pytest.mark.slow
def test_a_torn_download_is_no_dataset(tmp_path: Path) -> None:
    expected = {cut_off: "corrupted", stalled: "timed out"}
    with ExitStack() as mirrors:
        processes = {
            respond: start(
                "sources.resolve",
                TUI_VAE_MIRROR=mirrors.enter_context(mirror(respond))[0],
                TUI_VAE_CACHE=str(tmp_path / respond.__name__),
            )
            for respond in expected
        }
        for respond, reason in expected.items():
            kind, _, why, _ = outcome(processes[respond])
            assert kind == "sample"
            assert reason in why
            left = sorted(path.name for path in (tmp_path / respond.__name__).rglob("*"))
            assert left == [".fashion-mnist.lock", "fashion-mnist"]


@contextmanager
def closed_port() -> Iterator[str]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/"


@contextmanager
def black_hole() -> Iterator[str]:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        # Linux drops packets to a listener with a full queue, as a firewall would.
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def hanging_dns() -> Iterator[str]:
    given_up = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        given_up.wait(60)
        raise socket.gaierror("nobody knows")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield "http://mirror.invalid/"
        given_up.set()


@contextmanager
def silent_server() -> Iterator[str]:
    with mirror(never) as (url, _):
        yield url


@contextmanager
def empty_server() -> Iterator[str]:
    with mirror(not_found) as (url, _):
        yield url


@contextmanager
def nonsense() -> Iterator[str]:
    yield "mirror"


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (closed_port, "Connection refused"),
        (black_hole, "no answer in 1 s"),
        (hanging_dns, "no answer in 1 s"),
        (silent_server, "no answer in 1 s"),
        (empty_server, "Not Found"),
        (nonsense, "unknown url type"),
    ],
)
def test_without_a_network_the_sample_comes_and_says_why(
    cache: Path, monkeypatch: pytest.MonkeyPatch, network: Callable[[], AbstractContextManager[str]], reason: str
) -> None:
    """What hangs would do so for longer than is waited for, and then end with another reason."""
    monkeypatch.setattr("tui_vae.core.data.download.PROBE_SECONDS", 1.0)
    with network() as url:
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        source = resolve("fashion-mnist")
    assert source.kind == "sample"
    assert reason in source.reason
    assert not cache.exists()


def test_without_torchvision_the_sample_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with mirror(login_page) as (url, _):
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        source = resolve("fashion-mnist")
    assert source.kind == "sample"
    assert "torchvision does not import (operator torchvision::nms does not exist)" in source.reason


def test_an_unusable_cache_leads_to_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("TUI_VAE_CACHE", str(tmp_path / "file"))
    with mirror(login_page) as (url, _):
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        assert "could not be saved" in resolve("fashion-mnist").reason


def test_an_explicit_download_says_what_to_do() -> None:
    with pytest.raises(DatasetError, match="could not be downloaded") as error:
        download()
    assert "TUI_VAE_MIRROR" in error.value.hint
