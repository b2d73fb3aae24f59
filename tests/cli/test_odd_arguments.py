"""Odd arguments, empty, endless, of odd signs, or what is no file: one sentence, and never a wait."""

import os
from pathlib import Path

import pytest

from tests.support.commands import Run, assert_one_sentence
from tui_vae.cli.doctor import _runs

LONG, ODD_SIGNS = "x" * 100_000, "ü\u202e\udcff"

ARGUMENTS = [
    ("compare one", 2, ["compare", ""]),
    ("compare empty", 1, ["compare", "", " "]),
    ("compare long", 1, ["compare", "a", LONG]),
    ("compare odd signs", 1, ["compare", ODD_SIGNS, ".."]),
    ("compare in a FIFO", 1, ["compare", "a", "b", "--runs-dir", "fifo"]),
    ("compare in a file", 1, ["compare", "a", "b", "--runs-dir", "file"]),
    ("compare in a long path", 1, ["compare", "a", "b", "--runs-dir", LONG]),
    ("compare in odd signs", 1, ["compare", "a", "b", "--runs-dir", ODD_SIGNS]),
    ("compare in nobody's home", 2, ["compare", "a", "b", "--runs-dir", "~nobody-of-this-name/x"]),
    ("sweep nothing", 2, ["sweep", "--lr", ","]),
    ("sweep many digits", 2, ["sweep", "--lr", "9" * 5000]),
    ("sweep jobs", 2, ["sweep", "--beta", "1,2", "--jobs", "9" * 5000]),
    ("sweep a FIFO", 2, ["sweep", "--config", "fifo"]),
    ("sweep a directory", 2, ["sweep", "--config", "folder"]),
    ("sweep without an end", 2, ["sweep", "--config", "/dev/zero"]),
    ("sweep a long path", 2, ["sweep", "--config", LONG]),
    ("sweep odd signs", 2, ["sweep", "--name", ODD_SIGNS, "--beta", "1,2"]),
    ("sweep too many", 2, ["sweep", "--beta", ",".join(map(str, range(20_000)))]),
    ("sweep into a file", 2, ["sweep", "--beta", "1,2", "--runs-dir", "file"]),
    ("sweep into a FIFO", 2, ["sweep", "--beta", "1,2", "--runs-dir", "fifo"]),
    ("train a large file", 2, ["train", "--config", "large"]),
    ("train a FIFO", 2, ["train", "--config", "fifo"]),
    ("train into a file", 1, ["train", "--runs-dir", "file"]),
    ("list a long path", 1, ["ls", "--runs-dir", LONG]),
    ("doctor", 2, ["doctor", LONG]),
    ("data", 2, ["data", ODD_SIGNS]),
    ("download", 2, ["data", "--download", ""]),
]


@pytest.fixture
def odd_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("folder").mkdir()
    Path("file").write_text("x")
    with open("large", "wb") as large:
        large.truncate(1 << 33)


@pytest.mark.usefixtures("odd_place")
@pytest.mark.parametrize(("code", "arguments"), [each[1:] for each in ARGUMENTS], ids=[each[0] for each in ARGUMENTS])
def test_an_odd_argument_is_one_sentence(tui_vae: Run, code: int, arguments: list[str]) -> None:
    output = tui_vae(*arguments)
    assert_one_sentence(output, code)
    assert len(output[2]) < 5000


@pytest.mark.usefixtures("odd_place")
@pytest.mark.parametrize("place", ["fifo", "file/x", "", "~nobody-of-this-name/x", ODD_SIGNS, "x" * 5000])
def test_doctor_says_of_an_odd_runs_directory_what_is_wrong(place: str) -> None:
    finding = _runs(place)
    assert finding.ok or finding.hint
    assert finding.ok == (place in ("", ODD_SIGNS))
