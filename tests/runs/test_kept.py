"""Which epochs' checkpoints are kept, and under which names."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_vae.runs import files
from tui_vae.runs.files import link_or_copy
from tui_vae.runs.kept import KeepRule, best_file, keep, kept_epochs, state_file, thinned


@given(st.lists(st.integers(1, 10**6), min_size=1, unique=True).map(sorted), st.integers(1, 12))
def test_the_newest_stays_and_no_more_than_asked(epochs: list[int], most: int) -> None:
    kept = thinned(epochs, most)
    assert kept[-1] == epochs[-1]
    assert len(kept) == min(most, len(epochs))
    assert set(kept) <= set(epochs) and kept == sorted(kept)


def test_they_are_dense_at_the_newest_and_thin_out_further_back() -> None:
    kept: list[int] = []
    for epoch in range(1, 501):
        kept = thinned([*kept, epoch], 10)
        gaps = [after - before for before, after in pairwise(kept)]
        assert all(later <= 2 * earlier for earlier, later in pairwise(gaps)), kept
    assert kept[-3:] == [498, 499, 500] or kept[-2:] == [499, 500]
    assert kept[0] < 350


def test_what_is_kept_is_the_same_file_until_the_run_replaces_its_own(tmp_path: Path) -> None:
    last, best, folder = tmp_path / "last.safetensors", tmp_path / "best.safetensors", tmp_path / "kept"
    for epoch in range(1, 8):
        files.write_atomic(last, b"last %d" % epoch)
        if epoch in (1, 3):
            files.write_atomic(best, b"best %d" % epoch)
        keep(folder, epoch, last, best, most=3)
        keep(folder, epoch, last, best, most=3)  # again, as at the end of a run: no second file, no leftover
        assert os.path.samefile(last, state_file(folder, epoch))
    epochs = kept_epochs(folder)
    assert len(epochs) == 3 and epochs[-1] == 7
    assert {path.name for path in folder.iterdir()} == {
        name(folder, epoch).name for epoch in epochs for name in (state_file, best_file)
    }
    for epoch in epochs:
        assert state_file(folder, epoch).read_bytes() == b"last %d" % epoch
        assert best_file(folder, epoch).read_bytes() == (b"best 3" if epoch >= 3 else b"best 1")


def test_a_number_of_epochs_or_each_kth(tmp_path: Path) -> None:
    assert (KeepRule.of(0), KeepRule.of(5), KeepRule.of("every:10")) == (None, (1, 5), (10, None))
    last = tmp_path / "last.safetensors"
    last.write_bytes(b"last")
    for epoch in range(10, 310, 10):
        keep(tmp_path / "kept", epoch, last, tmp_path / "best.safetensors", most=None)
    assert kept_epochs(tmp_path / "kept") == [*range(10, 310, 10)]


def test_where_there_are_no_hard_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*paths: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(os, "link", refused)
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"a"
    assert not os.path.samefile(tmp_path / "a", tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
