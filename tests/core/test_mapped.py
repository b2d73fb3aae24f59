"""Data sets larger than memory: the rows of the next batch are read from the mapped file while this one is used."""

import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from tui_vae.core.data import mapped
from tui_vae.trainer.batches import batches

CPU = torch.device("cpu")


class Noting(mmap.mmap):
    """A mapped file that notes what the kernel is advised of."""

    def madvise(self, option: int, *where: int) -> None:
        asked.append((option, *where))


asked: list[tuple[int, ...]] = []


class Mapped(np.ndarray[tuple[int, ...], np.dtype[np.uint8]]):
    """As numpy's arrays in mapped files."""

    _mmap: mmap.mmap | None = None


def test_a_mapped_file_larger_than_memory_is_read_a_batch_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, size, header = 40, 3000, 128
    (tmp_path / "x").write_bytes(bytes(header) + np.arange(rows, dtype=np.uint8).repeat(size).tobytes())
    with open(tmp_path / "x", "rb") as file:
        noting = Noting(file.fileno(), 0, access=mmap.ACCESS_COPY)
    array = Mapped((rows, size), np.uint8, noting, header)
    array._mmap = noting
    assert mapped.read_ahead_of(array) is mapped.nothing_ahead, "memory has room for it"
    monkeypatch.setattr(mapped, "SHARE_OF_MEMORY", 0)
    assert mapped.read_ahead_of(np.zeros(4)) is mapped.nothing_ahead
    ahead = mapped.read_ahead_of(array)
    assert asked[0] == (mmap.MADV_RANDOM,)
    asked.clear()
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    told = []
    for batch in batches(torch.from_numpy(array), order, 16, CPU, ahead):
        told.append(len(asked))
        assert batch[:, 0].tolist() == order[16 * len(told) - 16 :][:16].tolist()
    assert told == [32, 40, 40], "the next batch is asked for before this one is used"
    for row, (option, start, length) in zip(order.tolist(), asked, strict=True):
        begin = header + row * size
        assert option == mmap.MADV_WILLNEED and start % mmap.PAGESIZE == 0
        assert start <= begin < start + mmap.PAGESIZE and start + length == begin + size


@pytest.mark.parametrize("kind", ["mapped", "bytes"])
def test_images_in_small_pages_are_copied_and_stay_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    np.save(tmp_path / "x.npy", images)
    of_bytes = np.frombuffer(bytearray(images.tobytes()), np.uint8).reshape(images.shape)  # as of an idx file
    array = np.load(tmp_path / "x.npy", "c") if kind == "mapped" else of_bytes
    copy = mapped.in_large_pages(array)
    assert not np.shares_memory(copy, array)
    assert (copy == images).all() and (array == images).all()
    assert mapped.in_large_pages(copy[:20]).base is copy, "numpy's own memory is not copied again"
    monkeypatch.setattr(mapped, "SHARE_TO_COPY", 0)
    assert mapped.in_large_pages(array) is array, "it would take too much of the memory"
