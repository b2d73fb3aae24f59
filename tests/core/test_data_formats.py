"""What is made of the files that people have: every row of the table in docs/data-formats.md, written and loaded."""

import re
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import ROWS
from tui_vae.core.data.datasets import load
from tui_vae.core.data.published import DatasetError
from tui_vae.core.data.readers import csv_table, parquet
from tui_vae.main_memory import free_main_memory

TABLE = Path(__file__).parents[2] / "docs" / "data-formats.md"

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("name", ROWS)
def test_what_is_made_of_a_file(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    if row.needs and not find_spec(row.needs):
        pytest.skip(f"needs {row.needs}")
    (tmp_path / "data").mkdir()
    if row.refused:
        with pytest.raises(DatasetError) as error:
            row.load(tmp_path / "data")
        sentence = str(error.value)
        assert row.refused in sentence and str(tmp_path / "data") in sentence and "\n" not in sentence
        return
    found = row.load(tmp_path / "data")
    assert row.check is not None
    row.check(found)
    images = found.train_images
    assert images.flags.c_contiguous and images.dtype in (np.uint8, np.float32)
    assert found.shape == ((3 if images.ndim == 4 else 1), *images.shape[1:3])
    again = row.load(tmp_path / "data")
    assert again.fingerprint == found.fingerprint and again.notes == found.notes
    np.testing.assert_array_equal(again.test_images, found.test_images)


def test_without_its_library_a_parquet_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(DatasetError, match="read with pyarrow, which is not installed") as error:
        load(str(tmp_path))
    assert error.value.hint == "install it: pip install 'tui-vae[parquet]'"


def test_a_small_parquet_file_of_endless_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value of 8 MiB that a few packed bytes repeat in every row."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    values = pa.DictionaryArray.from_arrays(pa.array([0] * 512, pa.int32()), pa.array([bytes(8 << 20)], pa.binary()))
    pq.write_table(pa.table({"image": values}), tmp_path / "x.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "x.parquet").stat().st_size < 10_000
    before = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setattr(parquet, "SHARE_OF_MEMORY", (512 << 20) / free_main_memory())
    with pytest.raises(DatasetError, match=r"x\.parquet needs more memory than there is for 256 rows of its "):
        load(str(tmp_path))
    assert resource.getrlimit(resource.RLIMIT_AS) == before


@given(st.lists(st.sampled_from(["0", "7", "07", "42", "255", "999", "1000", "1.5", "-3", "", " 8"]), min_size=1))
def test_short_numbers_are_read_as_python_reads_them(words: list[str]) -> None:
    found = csv_table._short_numbers(",".join(words).encode())
    if all(word.isdecimal() and len(word) <= 3 for word in words):
        assert found is not None and found.tolist() == [float(word) for word in words]
    else:
        assert found is None, "they are left to numpy"


def test_the_table_has_these_rows() -> None:
    told = re.findall(r"^\| ([^|]+?) \|[^|]*\|[^|]*\|$", TABLE.read_text(), re.MULTILINE)
    assert sorted(set(told) - {"what is given", "---"}) == sorted(ROWS)
