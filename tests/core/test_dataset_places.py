"""Where a dataset is found, and how its files are verified; the bundled sample."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.datasets import FILES, REAL, needs_real, write_own
from tui_vae.core.data import sources
from tui_vae.core.data.datasets import load
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.idx import read_idx
from tui_vae.core.data.sample.make import make, write_idx
from tui_vae.core.data.sources import available, published_in, resolve

SAMPLE = Path(sources.__file__).with_name("sample")

pytestmark = pytest.mark.usefixtures("cache")


def test_the_sample_is_class_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_OFFLINE", "1")
    sample = load()
    assert sample.source.description == "bundled sample of 5,000 + 1,000 images"
    assert "TUI_VAE_OFFLINE" in sample.source.reason
    assert sample.train_images.shape == (5000, 28, 28)
    assert sample.test_images.shape == (1000, 28, 28)
    assert np.bincount(sample.labels("train")).tolist() == [500] * 10
    assert np.bincount(sample.labels("test")).tolist() == [100] * 10
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


@pytest.mark.parametrize(("layout", "suffix"), [(".", ""), (".", ".gz"), ("FashionMNIST/raw", "")])
def test_a_data_directory_may_hold_other_images(tmp_path: Path, layout: str, suffix: str) -> None:
    write_own(tmp_path / "own" / layout, suffix)
    own = load(data_dir=tmp_path / "own")
    assert (own.source.kind, own.source.train, own.source.test) == ("data-dir", 30, 20)
    assert own.source.description == str(tmp_path / "own")
    assert (own.name, own.classes[7]) == ("own", "class 7"), "only FashionMNIST's images are called Sneaker"
    assert own.train_images.shape == (30, 28, 28)


def images_28x27(own: Path) -> None:
    write_idx(own / "train-images-idx3-ubyte", np.zeros((30, 28, 27), np.uint8))


def labels_too_few(own: Path) -> None:
    write_idx(own / "train-labels-idx1-ubyte", np.zeros(29, np.uint8))


def images_cut(own: Path) -> None:
    path = own / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def images_are_text(own: Path) -> None:
    (own / "t10k-images-idx3-ubyte").write_text("<html>")


def all_missing(own: Path) -> None:
    shutil.rmtree(own)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (images_28x27, "t10k-images-idx3-ubyte does not fit the training images: they are 28×27 bytes, these 28×28 by"),
        (labels_too_few, "train-labels-idx1-ubyte .* expected 30 labels, found 29"),
        (images_cut, "train-images-idx3-ubyte is damaged: its header asks for 23,536 bytes, found 23,535"),
        (images_are_text, "t10k-images-idx3-ubyte is a web page, not data"),
        (all_missing, "there is no file or folder"),
    ],
)
def test_a_wrong_data_directory_is_an_error_and_never_passed_over(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    write_own(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(DatasetError, match=message) as error:
        load("fashion-mnist", tmp_path / "own")
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
    source = published_in(tmp_path)
    assert source is not None and source.published
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


def test_limits_take_the_first_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_OFFLINE", "1")
    whole = load()
    few = load(train_limit=7, test_limit=10**9)
    np.testing.assert_array_equal(few.train_images, whole.train_images[:7])
    np.testing.assert_array_equal(few.labels("train"), whole.labels("train")[:7])
    assert len(few.test_images) == len(few.labels("test")) == 1000
    assert few.train_images.flags.writeable
    for limit in (0, -1):
        with pytest.raises(DatasetError, match=f"train-limit must be at least 1, not {limit}"):
            load(train_limit=limit)
