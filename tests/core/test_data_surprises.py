"""What other libraries do with data, where one guesses wrong; and that torchvision's classes see the same pixels."""

import gzip
import hashlib
import io
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
import pytest
import safetensors.numpy
from PIL import Image
from torchvision import datasets as theirs
from torchvision.datasets.utils import check_integrity

from tests.support.datasets import FILES, REAL, needs_real
from tests.support.formats.of_tables import FRUIT, write_parquet
from tests.support.formats.rows import COLOUR, IMAGES, OTHERS, TEST, TRAIN, four, idx, labels, pictures, write
from tui_vae.core.data import named, reading
from tui_vae.core.data.datasets import Dataset, load
from tui_vae.core.data.describe import describe
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers import numpy_files

pytestmark = pytest.mark.usefixtures("cache")


def md5_of(contents: bytes) -> str:
    return hashlib.md5(contents, usedforsecurity=False).hexdigest()


@needs_real
def test_debian_has_repacked_fashion_mnist_and_torchvision_refuses_it() -> None:
    for file in FILES.values():
        path = REAL / f"{file.name}.gz"
        assert md5_of(path.read_bytes()) == file.repacked_md5 != file.gz_md5
        assert not check_integrity(path, file.gz_md5)
        assert md5_of(gzip.decompress(path.read_bytes())) == file.md5


@needs_real
def test_published_files_are_known_by_their_bytes_whatever_their_names_say(tmp_path: Path) -> None:
    for file in FILES.values():
        packed = (REAL / f"{file.name}.gz").read_bytes()
        plain_as_gz = file.name.startswith("train")
        (tmp_path / (f"{file.name}.gz" if plain_as_gz else file.name)).write_bytes(
            gzip.decompress(packed) if plain_as_gz else packed
        )
    found = load(data_dir=tmp_path)
    assert (found.name, found.classes[7], found.source.published) == ("fashion-mnist", "Sneaker", True)
    np.testing.assert_array_equal(found.test_images, load(str(REAL)).test_images)


@needs_real
def test_fashion_mnist_has_no_duplicates_and_a_white_pixel_in_every_image() -> None:
    facts = describe(load(str(REAL)))
    assert tuple(facts.duplicates) == (0, 0, 0) and facts.range == (0, 255) and not facts.notes
    brightest = facts.dataset.train_images.reshape(60_000, -1).max(axis=1)
    assert set(brightest.tolist()) == {254, 255}


def test_pillow_clips_16_bits_of_grey() -> None:
    deep = Image.fromarray(np.full((4, 4), 30_000, np.uint16))
    assert np.asarray(deep.convert("L")).tolist() == [[255] * 4] * 4


def test_numpy_maps_no_npz_and_we_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", x_train=IMAGES, x_test=OTHERS)
    assert type(np.load(tmp_path / "x.npz", mmap_mode="r")["x_train"]) is np.ndarray
    monkeypatch.setattr(numpy_files, "MAPPED_FROM", 1)
    found = load(str(tmp_path / "x.npz"))
    assert isinstance(found.train_images, np.memmap)
    np.testing.assert_array_equal(found.train_images, IMAGES)
    found.train_images[0, 0, 0] ^= 1  # a private copy of the page
    np.testing.assert_array_equal(load(str(tmp_path / "x.npz")).train_images, IMAGES)


def test_a_flipped_bit_of_a_mapped_archive_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_files, "MAPPED_FROM", 1)
    np.savez(tmp_path / "x.npz", x=IMAGES)
    contents = bytearray((tmp_path / "x.npz").read_bytes())
    contents[len(contents) // 2] ^= 1
    (tmp_path / "x.npz").write_bytes(contents)
    with pytest.raises(DatasetError, match=r"x\.npz is damaged: Bad CRC-32 for file 'x\.npy'"):
        load(str(tmp_path / "x.npz"))


@pytest.mark.skipif(
    tuple(map(int, safetensors.__version__.split(".")[:2])) < (0, 8),
    reason="older versions, up to 0.5.3 at least, write it as it is",
)
def test_safetensors_scrambles_what_is_not_contiguous() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert not np.array_equal(safetensors.numpy.load(safetensors.numpy.save({"x": turned}))["x"], turned)


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="older versions of Pillow were not measured")
@pytest.mark.parametrize("frames", ["GIF", "PNG", "WEBP"])
def test_equal_frames_keep_their_time_in_gif_alone(tmp_path: Path, frames: str) -> None:
    grey = [Image.new("L", (8, 8), 80)] * 5
    grey[0].save(tmp_path / "x", frames, save_all=True, append_images=grey[1:], duration=100)
    with Image.open(tmp_path / "x") as back:
        back.load()
        assert (getattr(back, "n_frames", 1), back.info.get("duration", 0)) == (1, 500 if frames == "GIF" else 0)


# -- torchvision's own classes on the same files -----------------------------------------------------------------------


def agrees(found: Dataset, root: Path, kind: type[theirs.MNIST]) -> None:
    parts: tuple[Literal["train", "test"], ...] = ("train", "test")
    for part in parts:
        images = found.train_images if part == "train" else found.test_images
        dataset = kind(root, train=part == "train")
        np.testing.assert_array_equal(images, dataset.data.numpy())
        np.testing.assert_array_equal(found.labels(part), dataset.targets.numpy())


@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_mnist_as_torchvision_reads_it(tmp_path: Path, name: str) -> None:
    known = named.SETS[name]
    write(tmp_path / known.title / "raw", four())
    found = load(name, data_dir=tmp_path)
    agrees(found, tmp_path, getattr(theirs, known.title))
    assert (found.name, found.classes) == (name, known.classes)


def test_qmnist_as_torchvision_reads_it(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for part, images in (("train", IMAGES), ("test", OTHERS)):
        eight = np.zeros((len(images), 8), np.int32)
        eight[:, 0] = labels(len(images))
        files |= {
            f"qmnist-{part}-images-idx3-ubyte": idx(images),
            f"qmnist-{part}-labels-idx2-int": idx(eight, 0x0C, ">i4"),
        }
    write(tmp_path / "QMNIST" / "raw", files)
    found = load("qmnist", data_dir=tmp_path)
    for part, given, count in (("train", found.train_images, TRAIN), ("test", found.test_images, TEST)):
        dataset = theirs.QMNIST(tmp_path, what=part)
        np.testing.assert_array_equal(given, dataset.data.numpy())
        np.testing.assert_array_equal(labels(count), dataset.targets[:, 0].numpy())


def test_emnist_is_turned_upright_which_torchvision_leaves_to_its_users(tmp_path: Path) -> None:
    files = {}
    for split in ("letters", "balanced"):
        for part, count in (("train", TRAIN), ("test", TEST)):
            files[f"emnist-{split}-{part}-images-idx3-ubyte"] = idx(pictures(count, 28, 28, seed=count))
            files[f"emnist-{split}-{part}-labels-idx1-ubyte"] = idx(labels(count, 26, 1))
    write(tmp_path / "EMNIST" / "raw", files)
    found = load("emnist-letters", data_dir=tmp_path)
    for part, images in (("train", found.train_images), ("test", found.test_images)):
        dataset = theirs.EMNIST(tmp_path, "letters", train=part == "train")
        np.testing.assert_array_equal(images, dataset.data.numpy().transpose(0, 2, 1))
        names = [found.classes[label] for label in found.labels("train" if part == "train" else "test")]
        assert names == [dataset.classes[target] for target in dataset.targets]
    assert len(load("emnist-balanced", data_dir=tmp_path).classes) == 47


# -- pyarrow, and the library of a hub, on the same parquet files ------------------------------------------------------


def test_parquet_as_pyarrow_and_pillow_read_it(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    write_parquet(tmp_path / "train-00000-of-00001.parquet", COLOUR, labels(TRAIN), FRUIT)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", COLOUR[:7], labels(7, 3), FRUIT)
    found = load(str(tmp_path))
    for part, images, of_images in (
        ("train", found.train_images, found.labels("train")), ("test", found.test_images, found.labels("test"))
    ):  # fmt: skip
        rows = parquet.read_table(tmp_path / f"{part}-00000-of-00001.parquet").to_pylist()
        theirs = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
        np.testing.assert_array_equal(images, np.stack(theirs))
        assert of_images.tolist() == [row["label"] for row in rows]


def test_parquet_as_the_library_datasets_writes_and_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = pytest.importorskip("datasets", reason="needs the library datasets, which no extra of ours brings")
    names = ["ant", "bee", "cow"]
    features = hub.Features({"img": hub.Image(), "fine_label": hub.ClassLabel(names=names)})
    columns = {"img": [Image.fromarray(image) for image in COLOUR], "fine_label": labels(TRAIN, 3).tolist()}
    whole = hub.Dataset.from_dict(columns, features=features)
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    whole.select(range(25)).to_parquet(file)
    whole.select(range(25, 30)).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    back = hub.load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    found = load(str(tmp_path / "data"))
    np.testing.assert_array_equal(found.train_images, np.stack([np.asarray(row["img"]) for row in back]))
    assert found.labels("train").tolist() == list(back["fine_label"])
    assert list(found.classes) == back.features["fine_label"].names == names


def test_memory_is_asked_for_once_the_file_has_allowed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "free_main_memory", lambda: 1000)
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(Exception, match=r"x\.npy has 0\.0 GiB or more, and 0\.0 GiB of memory are free"):
        load(str(tmp_path / "x.npy"))
