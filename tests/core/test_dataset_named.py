"""MNIST and its relatives by name: fetched by torchvision's own classes from a server on this machine, and read."""

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.formats.rows import IMAGES, OTHERS, TEST, TRAIN, four, idx, labels, pictures
from tests.support.mirror import mirror, serving
from tui_vae.config import NAMED_SETS
from tui_vae.config.data_options import DEFAULT_SET
from tui_vae.core.data import named
from tui_vae.core.data.datasets import load
from tui_vae.core.data.published import DatasetError

pytestmark = pytest.mark.usefixtures("cache")

WITH_OUR_SUMS = """
import torchvision.datasets.mnist as m
m.MNIST.resources = m.KMNIST.resources = {plain!r}
m.QMNIST.resources = {qmnist!r}
m.EMNIST.md5 = {emnist!r}
"""
"""Runs in torchvision's process before it downloads: its checksums of our files, which are not those published."""


def md5(contents: bytes) -> str:
    return hashlib.md5(contents, usedforsecurity=False).hexdigest()


def qmnist() -> dict[str, bytes]:
    files = {}
    for part, images in (("train", IMAGES), ("test", OTHERS)):
        eight = np.zeros((len(images), 8), np.int32)
        eight[:, 0] = labels(len(images), 10)
        files[f"qmnist-{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images))
        files[f"qmnist-{part}-labels-idx2-int.gz"] = gzip.compress(idx(eight, 0x0C, ">i4"))
    return files


def emnist() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for split, count in (("letters", 26), ("balanced", 47)):
            for part, images in (("train", TRAIN), ("test", TEST)):
                first = f"gzip/emnist-{split}-{part}"
                file.writestr(f"{first}-images-idx3-ubyte.gz", gzip.compress(idx(pictures(images, 28, 28))))
                file.writestr(f"{first}-labels-idx1-ubyte.gz", gzip.compress(idx(labels(images, count))))
    return archive.getvalue()


@pytest.fixture
def server_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the server has, by name; torchvision takes it for the published files."""
    plain, own, archive = four(".gz"), qmnist(), emnist()
    there = "http://elsewhere/"
    sums = WITH_OUR_SUMS.format(
        plain=[(name, md5(contents)) for name, contents in plain.items()],
        qmnist={part: [(there + name, md5(contents)) for name, contents in own.items() if part in name]
                for part in ("train", "test")},
        emnist=md5(archive),
    )  # fmt: skip
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "sitecustomize.py").write_text(sums)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "early"), prepend=":")
    return {**plain, **own, "gzip.zip": archive}


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("kmnist", "qmnist", "emnist-letters")), "mnist"],
)
def test_a_named_set_is_fetched_once_and_read(
    name: str, server_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with mirror(serving(server_files)) as (url, requests):
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        found = load(name, progress=said.append)
        count = len(requests)
        again = load(name)
        assert len(requests) == count
    known = named.SETS[name]
    assert any(text.startswith(f"downloading {known.title}, ") for text in said)
    assert (found.name, found.classes, found.source.path) == (name, known.classes, known.folder)
    assert found.split == "given by the source" and found.fingerprint == again.fingerprint
    if name == "emnist-letters":
        np.testing.assert_array_equal(found.train_images, pictures(TRAIN, 28, 28).swapaxes(1, 2))
        assert len(load("emnist-balanced").classes) == 47, "all of EMNIST's sets come in one archive"
    else:
        np.testing.assert_array_equal(found.test_images, OTHERS)


@pytest.mark.slow
def test_a_file_with_other_sums_is_no_data_set(
    server_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    damaged = {**server_files, "t10k-labels-idx1-ubyte.gz": gzip.compress(b"something else")}
    with mirror(serving(damaged)) as (url, _):
        monkeypatch.setenv("TUI_VAE_MIRROR", url)
        with pytest.raises(DatasetError, match=r"MNIST could not be downloaded from http.*corrupted"):
            load("mnist")
    assert not [path for path in cache.parent.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_without_a_network_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUI_VAE_OFFLINE", "1")
    with pytest.raises(DatasetError, match="KMNIST was not downloaded because TUI_VAE_OFFLINE is set"):
        load("kmnist")
    with pytest.raises(DatasetError, match="MNIST is not on this machine") as error:
        load("mnist", may_download=False)
    assert error.value.hint == "fetch it: tui-vae data --download mnist"
    with pytest.raises(DatasetError, match="does not hold QMNIST: expected qmnist-train-images-idx3-ubyte, "):
        load("qmnist", data_dir=tmp_path)


def test_every_name_that_is_offered_is_known() -> None:
    assert set(NAMED_SETS) == {DEFAULT_SET, *named.SETS}


def test_files_of_another_set_are_not_given_its_names(tmp_path: Path) -> None:
    fashion, first = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4, 3, 1, 4, 8, 4, 3, 0, 2, 4, 4], 60_000
    numbers = np.array([*fashion, *labels(first - len(fashion), 10)], np.uint8)
    for name, contents in four().items():
        (tmp_path / name).write_bytes(contents)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pictures(first, 8, 8)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(numbers))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(pictures(TEST, 8, 8)))
    with pytest.raises(DatasetError, match="holds fashion-mnist, not kmnist") as error:
        load("kmnist", data_dir=tmp_path)
    assert error.value.hint == "name it: --dataset fashion-mnist"
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(numbers[::-1].copy()))
    assert load("kmnist", data_dir=tmp_path).name == "kmnist"
