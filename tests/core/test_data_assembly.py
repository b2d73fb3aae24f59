"""How data become a data set: the split, fingerprints, duplicates, the cache, and what is odd about them."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.formats.rows import IMAGES, OTHERS, Array, four, idx, labels, pictures, save, write
from tui_vae.core.data import assemble, cache
from tui_vae.core.data.datasets import load
from tui_vae.core.data.describe import describe
from tui_vae.core.data.fingerprint import fingerprint_of
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.split import split_rows

pytestmark = pytest.mark.usefixtures("cache")


# -- The split ---------------------------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 9),
)
def test_a_part_of_every_class_is_set_aside(sizes: list[int], share: float, seed: int) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 7 - 3, sizes))
    train, test = split_rows(len(classes), classes, share)
    if len(classes) == 1:
        assert train.tolist() == test.tolist() == [0]
        return
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(classes)))
    assert len(test) and (np.diff(test) > 0).all() and (np.diff(train) > 0).all()
    there, taken = Counter(classes.tolist()), Counter(classes[test].tolist())
    total = min(len(classes) - 1, max(1, round(len(classes) * share)))
    if all(count == 1 for count in there.values()):
        assert len(test) == 1
        return
    for label, count in there.items():
        assert taken[label] < count or count == 1, "training needs one of each class"
    exact = {label: count * total / len(classes) for label, count in there.items()}
    if all(count > exact[label] + 1 for label, count in there.items()):
        assert len(test) == total
        assert all(abs(taken[label] - exact[label]) < 1 for label in there)


def test_the_split_never_changes() -> None:
    _, test = split_rows(100, labels(100).astype(np.int64), 0.1)
    assert test.tolist() == [2, 24, 26, 54, 55, 73, 75, 86, 92, 93], "figures of old runs would no longer compare"
    _, test = split_rows(100, None, 0.05)
    assert test.tolist() == [2, 26, 55, 75, 86]


def test_a_run_s_seed_does_not_change_the_split_and_the_share_does(tmp_path: Path) -> None:
    write(tmp_path, {"train-images": idx(IMAGES), "train-labels": idx(labels(30))})
    found, more = load(str(tmp_path)), load(str(tmp_path), test_share=0.5)
    assert (len(found.test_images), len(more.test_images)) == (3, 15)
    assert found.fingerprint != more.fingerprint
    assert "drawn with seed 0" in found.split


# -- Duplicates, and what is odd ---------------------------------------------------------------------------------------


def test_duplicates_are_counted_within_the_parts_and_across(tmp_path: Path) -> None:
    train = np.concatenate([IMAGES, IMAGES[:4], IMAGES[:1]])
    test = np.concatenate([OTHERS, OTHERS[:2], IMAGES[:3]])
    np.savez(tmp_path / "x.npz", x_train=train, x_test=test)
    facts = describe(load(str(tmp_path / "x.npz")))
    assert tuple(facts.duplicates) == (5, 2, 3)
    assert any("3 test images are among the training images too" in note for note in facts.notes)


@pytest.mark.parametrize(
    ("images", "numbers", "notes"),
    [
        (np.full((20, 16, 16), 90, np.uint8), None,
         ["the brightest pixel is 90 of 255", "all images are the same", "20 of 20 images are blank"]),
        (pictures(20, 16, 16) // 16, None, ["the brightest pixel is 15 of 255"]),
        (np.repeat(pictures(20, 16, 16)[..., None], 3, 3), None, ["all images are grey, stored in colour"]),
        (pictures(20, 16, 16), np.full(20, 4), ["all images are of one class, class 4"]),
        (pictures(21, 16, 16), np.arange(21) // 20, ["no test image is of class 1"]),
        (pictures(2, 16, 16), None, ["the test set is a single image"]),
        (pictures(1, 16, 16), None, ["all images are the same", "the test set is a single image"][1:]),
    ],
)  # fmt: skip
def test_what_is_odd_is_said(tmp_path: Path, images: Array, numbers: Array | None, notes: list[str]) -> None:
    np.save(tmp_path / "x.npy", images)
    if numbers is not None:
        np.save(tmp_path / "y.npy", numbers)
    told = describe(load(str(tmp_path))).notes
    assert [any(note in each for each in told) for note in notes] == [True] * len(notes), told
    assert len(told) == len(notes), told


# -- Fingerprints ------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_what_is_in_the_files_alone(tmp_path: Path) -> None:
    write(tmp_path / "plain", four())
    write(tmp_path / "packed", four(".gz"))
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=labels(30), x_test=OTHERS, y_test=labels(20))
    same = {load(str(tmp_path / name)).fingerprint for name in ("plain", "packed", "x.npz")}
    assert len(same) == 1
    changed = IMAGES.copy()
    changed[-1, -1, -1] ^= 1
    assert fingerprint_of((changed, None), (OTHERS, None)) != fingerprint_of((IMAGES, None), (OTHERS, None))
    write(tmp_path / "other", {**four(), "t10k-labels-idx1-ubyte": idx(labels(20, 4))})
    assert load(str(tmp_path / "other")).fingerprint not in same


# -- The cache ---------------------------------------------------------------------------------------------------------


def make_pictures(place: Path, count: int = 6) -> Path:
    for at, image in enumerate(IMAGES[:count]):
        save(place / "ab"[at % 2] / f"{at}.png", image)
    return place


def test_pictures_are_decoded_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_pictures(tmp_path / "data")
    before = load(str(place))
    opened: list[object] = []
    real = Image.open

    def noting(file: Any, **how: Any) -> Image.Image:
        opened.append(file)
        return real(file, **how)

    monkeypatch.setattr(Image, "open", noting)
    again = load(str(place))
    assert not opened and isinstance(again.train_images, np.memmap)
    np.testing.assert_array_equal(again.train_images, before.train_images)
    save(place / "a" / "new.png", OTHERS[0])
    assert len(load(str(place)).train_images) == len(before.train_images) + 1 and opened
    folders = [entry for entry in cache.home().iterdir() if entry.is_dir()]
    assert [len(list(folder.iterdir())) for folder in folders] == [1], "what was made of older files is gone"
    assert not [name for name in os.listdir(place) if name not in ("a", "b")], "nothing is written beside the pictures"


@pytest.mark.parametrize("damage", ["about.json", "train_images.npy"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    place = make_pictures(tmp_path / "data")
    before = load(str(place)).train_images.copy()
    (file,) = cache.home().rglob(damage)
    os.truncate(file, file.stat().st_size // 2)
    np.testing.assert_array_equal(load(str(place)).train_images, before)


def test_a_cache_that_cannot_be_written_or_has_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_pictures(tmp_path / "data")
    monkeypatch.setattr(cache, "free_space", lambda place: 10)
    with pytest.raises(DatasetError, match=r"decoded, the images have .* GiB free") as error:
        load(str(place))
    assert error.value.hint == "set TUI_VAE_CACHE to a folder with more room"
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUI_VAE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match=r"decoded images cannot be saved in .*: Not a directory"):
        load(str(place))


def test_a_set_larger_than_memory_is_mapped_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", x=IMAGES, y=labels(30))
    in_memory = load(str(tmp_path / "x.npz"))
    assert not isinstance(in_memory.train_images, np.memmap)
    monkeypatch.setattr(assemble, "SHARE_OF_MEMORY", 0)
    mapped = load(str(tmp_path / "x.npz"))
    assert isinstance(mapped.train_images, np.memmap) and mapped.fingerprint == in_memory.fingerprint
    np.testing.assert_array_equal(mapped.train_images, in_memory.train_images)
    np.testing.assert_array_equal(mapped.labels("test"), in_memory.labels("test"))


def test_what_a_person_presses_ctrl_c_at_leaves_no_half_entry(tmp_path: Path) -> None:
    place = make_pictures(tmp_path / "data")

    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(str(place), progress=interrupt)
    assert not [path for path in cache.home().rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert len(load(str(place)).train_images) == 5


@pytest.mark.parametrize("name", ["", "train-images-idx3-ubyte"])
def test_all_files_of_a_set_are_found_among_many_others(tmp_path: Path, name: str) -> None:
    """As in a folder of downloads: part of a set is no set, and its test images are no training images."""
    write(tmp_path, {**four(), **{f"file{at}.pdf": b"%PDF-1.4" for at in range(300)}})
    found = load(str(tmp_path / name))
    assert (len(found.train_images), len(found.test_images), len(found.classes)) == (30, 20, 5)


def test_facts_are_plain_values(tmp_path: Path) -> None:
    write(tmp_path, four())
    told = json.loads(json.dumps(describe(load(str(tmp_path))).as_json()))
    assert told["shape"] == [1, 28, 28] and told["dtype"] == "uint8" and told["range"] == [0, 255]
    assert told["classes"][2] == {"name": "class 2", "train": 6, "test": 4}
    assert told["duplicates"] == {"train": 0, "test": 0, "across": 0} and len(told["files"]) == 4


def test_links_lead_to_no_picture_twice_and_a_pipe_is_no_picture(tmp_path: Path) -> None:
    place = make_pictures(tmp_path / "data")
    (place / "a" / "round").symlink_to(place)
    (place / "nowhere.png").symlink_to(tmp_path / "gone")
    os.mkfifo(place / "a" / "pipe.png")
    found = load(str(place))
    assert len(found.train_images) + len(found.test_images) == 6 and found.classes == ("a", "b")
