"""Reading idx files, and the choices of images that never change."""

import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tui_vae.core.data import datasets, preloaded_files, published_files, reading
from tui_vae.core.data.datasets import evaluation_subset, preview_indices
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers.idx import read_idx
from tui_vae.core.data.sample.make import write_idx

idx_arrays = arrays(np.uint8, array_shapes(max_dims=3, max_side=9))


@given(array=idx_arrays, suffix=st.sampled_from(["", ".gz"]))
@settings(max_examples=60)
def test_an_idx_file_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, array: datasets.Labels, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round-trip{suffix}"
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@given(array=idx_arrays, suffix=st.sampled_from(["", ".gz"]), cut=st.integers(1, 10_000))
@settings(max_examples=60)
def test_a_truncated_idx_file_is_never_read(
    tmp_path_factory: pytest.TempPathFactory, array: datasets.Labels, suffix: str, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"truncated{suffix}"
    write_idx(path, array)
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    with pytest.raises(DatasetError, match=path.name):
        read_idx(path)


def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run from elsewhere may name any file for its data."""
    sparse, bomb = tmp_path / "sparse", tmp_path / "bomb.gz"
    write_idx(sparse, np.zeros((3, 28, 28), np.uint8))
    os.truncate(sparse, 2**42)
    with pytest.raises(DatasetError, match="sparse has 4,398,046,508,736 bytes more than the 2,368 that its header"):
        read_idx(sparse)
    with pytest.raises(DatasetError, match=r"sparse has 4,096\.0 GiB or more, and .* GiB of memory are free"):
        published_files.read_file(sparse)
    (tmp_path / "made-up-as-it-is-read").touch()  # as files of /proc, some of which make a reader wait
    with pytest.raises(DatasetError, match="is empty"):
        read_idx(tmp_path / "made-up-as-it-is-read")
    with gzip.open(bomb, "wb") as file:
        file.write(bytes(reading.PART * 8))
    monkeypatch.setattr(reading, "free_main_memory", lambda: reading.PART)
    with pytest.raises(DatasetError, match=r"bomb\.gz has 0\.0 GiB or more"):
        published_files.read_file(bomb)
    with pytest.raises(DatasetError, match="pipe is no file but a pipe"):
        os.mkfifo(tmp_path / "pipe")
        read_idx(tmp_path / "pipe")


def test_the_evaluation_subset_is_fixed() -> None:
    subset = evaluation_subset(60_000, 10_000)
    np.testing.assert_array_equal(subset, evaluation_subset(60_000, 10_000))
    assert subset[:5].tolist() == [17, 18, 24, 28, 50], "figures of old runs would no longer compare"
    assert len(set(subset.tolist())) == 10_000
    assert (np.diff(subset) > 0).all()
    assert evaluation_subset(5, 10).tolist() == [0, 1, 2, 3, 4]


@given(labels=arrays(np.uint8, st.integers(0, 60), elements=st.integers(0, 9)), count=st.integers(0, 70))
def test_previews_go_round_the_classes(labels: datasets.Labels, count: int) -> None:
    chosen = preview_indices(labels, count).tolist()
    assert len(chosen) == len(set(chosen)) == min(count, len(labels))
    taken = Counter(labels[chosen].tolist())
    there = Counter(labels.tolist())
    for label, n in there.items():
        # A class is only behind another one if all its images are taken, and its first images are.
        assert taken[label] >= min(n, max(taken.values(), default=0) - 1)
        assert set(np.flatnonzero(labels == label)[: taken[label]].tolist()) <= set(chosen)


def test_a_preloaded_file_counts_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"before"))
    published_files.preload_file(path)
    digest = published_files._digest(path)
    path.write_bytes(gzip.compress(b"afterwards"))
    assert published_files._digest(path) != digest
    assert published_files.read_file(path) == b"afterwards"
    published_files.preload_file(path)
    os.unlink(path)
    with pytest.raises(DatasetError):
        published_files.read_file(path)
    preloaded_files.forget()
    path.write_bytes(gzip.compress(b"once"))
    published_files.preload_file(path)
    contents = published_files.read_file(path)
    assert bytes(contents) == b"once"
    contents[0] = 0  # whoever gets them may change them
    assert published_files.read_file(path) == b"once"
