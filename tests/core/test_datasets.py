"""Finding, verifying, downloading and reading datasets, all on this machine and in the test's own directory."""

import gzip
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tui_vae.core.data import datasets, sources
from tui_vae.core.data.datasets import evaluation_subset, load, preview_indices, read_idx
from tui_vae.core.data.download import download
from tui_vae.core.data.published import DATASETS, DatasetError
from tui_vae.core.data.sample.make import make, write_idx
from tui_vae.core.data.sources import available, resolve

REAL = Path("/usr/share/datasets/fashion-mnist")
FILES = DATASETS["fashion-mnist"].files
SAMPLE = Path(sources.__file__).with_name("sample")

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the whole dataset is not in {REAL}")


@pytest.fixture(autouse=True)
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


# -- Reading -----------------------------------------------------------------------------------------------------------

idx_arrays = arrays(np.uint8, array_shapes(max_dims=3, max_side=9))


@given(array=idx_arrays, suffix=st.sampled_from(["", ".gz"]))
@settings(max_examples=60)
def test_an_idx_file_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, array: datasets.Bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round-trip{suffix}"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@given(array=idx_arrays, suffix=st.sampled_from(["", ".gz"]), cut=st.integers(1, 10_000))
@settings(max_examples=60)
def test_a_truncated_idx_file_is_never_read(
    tmp_path_factory: pytest.TempPathFactory, array: datasets.Bytes, suffix: str, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"truncated{suffix}"
    write_idx(path, array)
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    with pytest.raises(DatasetError, match=path.name):
        read_idx(path)


def test_limits_take_the_first_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_OFFLINE", "1")
    whole = load()
    few = load(train_limit=7, test_limit=10**9)
    np.testing.assert_array_equal(few.train_images, whole.train_images[:7])
    np.testing.assert_array_equal(few.train_labels, whole.train_labels[:7])
    assert len(few.test_images) == len(few.test_labels) == 1000
    assert few.train_images.flags.writeable
    for limit in (0, -1):
        with pytest.raises(DatasetError, match=f"train-limit must be at least 1, not {limit}"):
            load(train_limit=limit)


# -- Fixed choices -----------------------------------------------------------------------------------------------------


def test_the_evaluation_subset_is_fixed() -> None:
    subset = evaluation_subset(60_000, 10_000)
    np.testing.assert_array_equal(subset, evaluation_subset(60_000, 10_000))
    assert subset[:5].tolist() == [17, 18, 24, 28, 50], "figures of old runs would no longer compare"
    assert len(set(subset.tolist())) == 10_000
    assert (np.diff(subset) > 0).all()
    assert evaluation_subset(5, 10).tolist() == [0, 1, 2, 3, 4]


@given(labels=arrays(np.uint8, st.integers(0, 60), elements=st.integers(0, 9)), count=st.integers(0, 70))
def test_previews_go_round_the_classes(labels: datasets.Bytes, count: int) -> None:
    chosen = preview_indices(labels, count).tolist()
    assert len(chosen) == len(set(chosen)) == min(count, len(labels))
    taken = Counter(labels[chosen].tolist())
    there = Counter(labels.tolist())
    for label, n in there.items():
        # A class is only behind another one if all its images are taken, and its first images are.
        assert taken[label] >= min(n, max(taken.values(), default=0) - 1)
        assert set(np.flatnonzero(labels == label)[: taken[label]].tolist()) <= set(chosen)


# -- The bundled sample ------------------------------------------------------------------------------------------------


def test_the_sample_is_class_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_OFFLINE", "1")
    sample = load()
    assert sample.source.description == "bundled sample of 5,000 + 1,000 images"
    assert "TUI_VAE_OFFLINE" in sample.source.reason
    assert sample.train_images.shape == (5000, 28, 28)
    assert sample.test_images.shape == (1000, 28, 28)
    assert np.bincount(sample.train_labels).tolist() == [500] * 10
    assert np.bincount(sample.test_labels).tolist() == [100] * 10
    assert "Copyright © 2017 Zalando SE" in (SAMPLE / "LICENSE").read_text(encoding="utf-8")


@needs_real
def test_the_sample_is_made_from_the_real_images_again(tmp_path: Path) -> None:
    make(tmp_path, REAL)
    for file in FILES.values():
        again, bundled = tmp_path / f"{file.name}.gz", SAMPLE / f"{file.name}.gz"
        assert again.read_bytes()[:10] == bundled.read_bytes()[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
        np.testing.assert_array_equal(read_idx(again), read_idx(bundled))  # their bytes may differ with another zlib

    real = load(data_dir=REAL)
    for split in ("train", "test"):
        images, labels = getattr(real, f"{split}_images"), getattr(real, f"{split}_labels")
        known = {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}
        sample = [read_idx(SAMPLE / f"{FILES[f'{split}_{what}'].name}.gz") for what in ("images", "labels")]
        assert all((image.tobytes(), label) in known for image, label in zip(*sample, strict=True))


# -- Places and verification -------------------------------------------------------------------------------------------


def write_own(directory: Path, suffix: str = "", train: int = 30, test: int = 20) -> None:
    """A whole dataset that is not FashionMNIST."""
    directory.mkdir(parents=True)
    for split, count in (("train", train), ("t10k", test)):
        write_idx(directory / f"{split}-images-idx3-ubyte{suffix}", np.full((count, 28, 28), count, np.uint8))
        write_idx(directory / f"{split}-labels-idx1-ubyte{suffix}", np.arange(count, dtype=np.uint8) % 10)


@pytest.mark.parametrize(("layout", "suffix"), [(".", ""), (".", ".gz"), ("FashionMNIST/raw", "")])
def test_a_data_directory_may_hold_other_images(tmp_path: Path, layout: str, suffix: str) -> None:
    write_own(tmp_path / "own" / layout, suffix)
    own = load(data_dir=tmp_path / "own")
    assert (own.source.kind, own.source.train, own.source.test) == ("data-dir", 30, 20)
    assert own.source.description.endswith("(not the published FashionMNIST files)")
    assert own.train_images.shape == (30, 28, 28)


def images_28x27(own: Path) -> None:
    write_idx(own / "train-images-idx3-ubyte", np.zeros((30, 28, 27), np.uint8))


def label_10(own: Path) -> None:
    write_idx(own / "t10k-labels-idx1-ubyte", np.full(20, 10, np.uint8))


def labels_too_few(own: Path) -> None:
    write_idx(own / "train-labels-idx1-ubyte", np.zeros(29, np.uint8))


def images_cut(own: Path) -> None:
    path = own / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def images_are_text(own: Path) -> None:
    (own / "t10k-images-idx3-ubyte").write_text("<html>")


def labels_missing(own: Path) -> None:
    (own / "t10k-labels-idx1-ubyte").unlink()


def all_missing(own: Path) -> None:
    shutil.rmtree(own)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (images_28x27, "has the wrong shape: expected N×H×W with H and W from 28 to 64, found 30×28×27"),
        (label_10, "t10k-labels-idx1-ubyte has a label 10: expected labels below 10"),
        (labels_too_few, "train-labels-idx1-ubyte .* expected 30 labels, found 29"),
        (images_cut, "train-images-idx3-ubyte is damaged: its header asks for 23536 bytes, found 23535"),
        (images_are_text, "t10k-images-idx3-ubyte is not an idx file of unsigned bytes or 4-byte floats"),
        (labels_missing, "does not hold FashionMNIST: missing t10k-labels-idx1-ubyte"),
        (all_missing, "does not exist"),
    ],
)
def test_a_wrong_data_directory_is_an_error_and_never_passed_over(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    write_own(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(DatasetError, match=message) as error:
        resolve("fashion-mnist", tmp_path / "own")
    assert "--data-dir" in error.value.hint


@needs_real
def test_published_files_are_known_compressed_or_not(tmp_path: Path, published: dict[str, bytes]) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in published.items():
        (raw / name).write_bytes(data)
    (raw / "t10k-images-idx3-ubyte.gz").unlink()
    (raw / "t10k-images-idx3-ubyte").write_bytes(gzip.decompress(published["t10k-images-idx3-ubyte.gz"]))
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(  # somebody's own compression
        gzip.compress(gzip.decompress(published["train-labels-idx1-ubyte.gz"]), 1)
    )
    source = resolve("fashion-mnist", tmp_path)
    assert source.published
    assert (source.train, source.test, source.path) == (60_000, 10_000, raw)


@needs_real
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_file_in_the_cache_is_named_with_its_checksums(
    cache: Path, published: dict[str, bytes], damage: str
) -> None:
    cache.mkdir(parents=True)
    for name, content in published.items():
        (cache / name).write_bytes(content)
    assert resolve("fashion-mnist").kind == "cache"

    path = cache / "t10k-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-1000:]
    else:
        data[2_000_000] ^= 1
    path.write_bytes(data)
    expected = FILES["test_images"]
    message = f"expected {expected.gz_size} bytes with MD5 {expected.gz_md5}, found {len(data)} bytes with MD5"
    with pytest.raises(DatasetError, match=message) as error:
        resolve("fashion-mnist")
    assert str(path) in error.value.message
    assert available()[0].problem == error.value.message


def test_other_images_in_the_cache_are_an_error(cache: Path) -> None:
    write_own(cache)
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte is not the published file"):
        resolve("fashion-mnist")


def test_a_damaged_system_copy_is_passed_over_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(tmp_path / "system")
    monkeypatch.setenv("TUI_VAE_SYSTEM_DATA", str(tmp_path / "system"))
    said: list[str] = []
    source = resolve("fashion-mnist", progress=said.append)
    assert source.kind == "sample"
    assert "train-images-idx3-ubyte is not the published file" in source.reason
    assert any("train-images-idx3-ubyte" in text for text in said)
    assert [(place.kind, bool(place.problem)) for place in available()] == [("system", True), ("sample", False)]


@needs_real
def test_the_system_copy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_SYSTEM_DATA", str(REAL))
    source = resolve("fashion-mnist")
    assert (source.kind, source.train, source.test) == ("system", 60_000, 10_000)
    assert source.description == f"system copy ({REAL})"


def test_an_unknown_dataset_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no dataset 'mnist'"):
        resolve("mnist")


# -- Download ----------------------------------------------------------------------------------------------------------

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def mirror(respond: Respond) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: its base URL and the paths that were asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            with suppress(ConnectionError):  # the client has given up
                respond(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (f"http://127.0.0.1:{server.server_port}/data", requests)  # no slash at the end: people forget it
    finally:
        server.shutdown()
        server.server_close()


def serving(files: dict[str, bytes]) -> Respond:
    def respond(request: BaseHTTPRequestHandler) -> None:
        send(request, files[request.path.removeprefix("/data/")])

    return respond


def send(request: BaseHTTPRequestHandler, data: bytes, length: int | None = None) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(data) if length is None else length))
    request.end_headers()
    request.wfile.write(data)


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
