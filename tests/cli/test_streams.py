"""Standard streams that cannot carry a sign, are closed, or are full: never a traceback, and the right exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import assert_one_sentence
from tests.support.processes import SMALL, Trained, command, finish
from tui_vae.cli.parser import make_parser
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.summary import summarize

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
LATIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
TUI_VAE = f"{sys.executable} -P -m tui_vae"
NO_ROOM = Path("/dev/full")


def in_locale(locale: dict[str, str], *arguments: object) -> tuple[int, str, str]:
    return finish(command(*arguments, env={**os.environ, **locale}, encoding=locale["PYTHONIOENCODING"]))


def in_shell(line: str, buffered: bool = True) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    done = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment, timeout=90)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("locale", [ASCII, LATIN], ids=["ascii", "latin-1"])
def test_help_is_legible_in_any_locale(locale: dict[str, str]) -> None:
    for name in ("train", "set", "export"):
        code, out, err = in_locale(locale, name, "--help")
        assert (code, err) == (0, "")
        assert "?" not in out, "each sign of the app's own texts has its word"
    _, out, _ = in_locale(locale, "set", "--help")
    assert "learning rate or b of" in out
    assert make_parser().format_help().count("β") == 1, "there is something to replace"


def test_names_from_outside_and_errors_are_legible_in_any_locale(tmp_path: Path) -> None:
    runs_dir = tmp_path / "Läufe λ 訓練"
    code, out, err = in_locale(ASCII, "ls", "--runs-dir", runs_dir)
    assert (code, err) == (0, "")
    assert "Laufe lambda ??;" in out
    output = in_locale(ASCII, "set", "x", "β=2")
    assert_one_sentence(output, 2, "is not a change of lr, muon-lr, beta")


@pytest.mark.slow
def test_a_run_in_an_ascii_locale(own_runs: Path) -> None:
    code, out, err = in_locale(ASCII, "train", "--name", "a", "--preset", "seed", "--epochs", 1, *SMALL)
    assert (code, err) == (0, "")
    assert "KL times b;" in out
    for arguments in (("show", "a", "--images", 1), ("eval", "a"), ("ls",)):
        code, out, err = in_locale(ASCII, *arguments)
        assert (code, err) == (0, "")
        assert out.isascii()


@pytest.mark.skipif(not NO_ROOM.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_standard_output_is_one_sentence(trained: Trained, buffered: bool) -> None:
    for arguments in (f"ls --runs-dir {trained.runs_dir}", f"ls --json --runs-dir {trained.runs_dir}", "--help"):
        output = in_shell(f"{TUI_VAE} {arguments} > /dev/full", buffered)
        assert_one_sentence(output, 1, "standard output cannot be written: No space left on device")
    code, _, err = in_shell(f"{TUI_VAE} show nothing > /dev/full 2> /dev/full", buffered)
    assert (code, err) == (1, "")
    assert in_shell(f"{TUI_VAE} show > /dev/full 2> /dev/full", buffered)[0] == 2


@pytest.mark.skipif(not NO_ROOM.exists(), reason="this system has no /dev/full")
def test_training_is_followed_to_its_end_though_its_lines_find_no_room(own_runs: Path) -> None:
    options = " ".join(SMALL)
    output = in_shell(f"{TUI_VAE} train --name full --epochs 2 {options} > /dev/full")
    assert_one_sentence(output, 1, "standard output cannot be written")
    assert summarize(RunDirectory(own_runs / "full")).state == "finished"


def test_closed_streams_are_silence(trained: Trained, tmp_path: Path) -> None:
    """And no file that is opened later takes their numbers."""
    ls = f"{TUI_VAE} ls --runs-dir {trained.runs_dir}"
    assert in_shell(f"{ls} >&-") == (0, "", "")
    assert in_shell(f"{TUI_VAE} --help >&-") == (0, "", "")
    assert in_shell(f"{TUI_VAE} pause nothing >&- 2>&-") == (1, "", "")
    code, out, err = in_shell(f"{ls} <&- 2>&-")
    assert (code, err) == (0, "")
    assert "done" in out
    csv = tmp_path / "metrics.csv"
    export = f"{TUI_VAE} export done --runs-dir {trained.runs_dir} --what metrics --out {csv}"
    assert in_shell(f"{export} <&- >&- 2>&-") == (0, "", "")
    assert csv.read_text().startswith("epoch,")


def test_an_address_that_nobody_would_learn_is_not_served(own_runs: Path) -> None:
    assert_one_sentence(in_shell(f"{TUI_VAE} serve --port 0 >&-"), 1, "nobody would learn the address")


def test_training_with_closed_streams(own_runs: Path) -> None:
    output = in_shell(f"{TUI_VAE} train --epochs 1 {' '.join(SMALL)} <&- >&- 2>&-")
    assert output == (0, "", "")
    assert [summarize(run).state for run in list_runs(own_runs)] == ["finished"]
