"""`rm`, `rename`, `note`, `clone` and `log`: what the Runs pane does, from the shell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_run import make_run
from tests.support.processes import Trained, command, finish
from tui_vae.cli import main
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EpochEvent, LogTail
from tui_vae.runs.tags import Tags, read_tags


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> RunDirectory:
    """A trained run that may be changed: a copy of the shared one."""
    runs = tmp_path / "runs"
    assert main(["clone", "done", "mine", "--runs-dir", str(trained.runs_dir)]) == 0
    runs.mkdir()
    (Path(trained.runs_dir) / "mine").rename(runs / "mine")
    return RunDirectory(runs / "mine")


def here(run: RunDirectory, *words: str) -> int:
    return main([*words, "--runs-dir", str(run.path.parent)])


def test_a_copy_has_everything_and_goes_its_own_way(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert here(run, "tag", "mine", "good", "@widths") == 0
    assert here(run, "clone", "mine", "other") == 0
    other = RunDirectory(run.path.with_name("other"))
    for name in ("last.safetensors", "best.safetensors", "events.jsonl"):
        assert (other.path / name).read_bytes() == (run.path / name).read_bytes()
    assert (other.path / "events.jsonl").stat().st_ino != (run.path / "events.jsonl").stat().st_ino
    assert other.read_config().name == "other"
    assert read_tags(other) == Tags(("good",), "widths")
    assert here(run, "tag", "other", "bad") == 0 and read_tags(run) == Tags(("good",), "widths")
    capsys.readouterr()
    assert here(run, "verify", "other") == 0
    assert here(run, "eval", "mine", "--json") == 0
    first = json.loads(capsys.readouterr().out.partition("{")[2].join(("{", "")))
    assert here(run, "eval", "other", "--json") == 0
    assert json.loads(capsys.readouterr().out)["test"] == first["test"]
    assert here(run, "clone", "mine", "other") == 1
    assert "run 'other' already exists" in capsys.readouterr().err
    assert here(run, "clone", "mine", "no/name") == 2


def test_names_and_notes(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert here(run, "note", "mine", "the  good\tone") == 0
    assert here(run, "rename", "mine", "yours") == 0
    capsys.readouterr()
    assert here(run, "note", "yours") == 0
    assert capsys.readouterr().out == "the good one\n"
    assert here(run, "note", "yours", "") == 0 and here(run, "note", "yours") == 0
    assert "yours has no note" in capsys.readouterr().out
    assert here(run, "rename", "mine", "x") == 1


def test_nothing_is_deleted_unasked(run: RunDirectory) -> None:
    assert here(run, "clone", "mine", "spare") == 0
    command = [sys.executable, "-P", "-m", "tui_vae", "rm", "mine", "spare", "--runs-dir", str(run.path.parent)]
    nobody = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert nobody.returncode == 1 and "--force" in nobody.stderr and run.path.exists()
    assert subprocess.run([*command, "--force"], capture_output=True, text=True).returncode == 0
    assert not run.path.exists() and not run.path.with_name("spare").exists()
    missing = subprocess.run([*command, "--force"], capture_output=True, text=True)
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1


def test_the_log_tells_what_happened_in_order(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert here(run, "log", "mine", "-f") == 0  # it trains no more, so that there is nothing to wait for
    lines = [line[21:] for line in capsys.readouterr().out.splitlines()]
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split()[1] for line in epochs] == ["1/3", "2/3", "3/3"]
    assert any(line.startswith("checkpoint at step") for line in lines) and lines[-1] == "finished"


def test_on_a_terminal_the_rest_of_a_long_line_stands_below_its_words(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here(run, "log", "mine") == 0
    lines = capsys.readouterr().out.splitlines()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns, indent in ((80, 21), (40, 2)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert here(run, "log", "mine") == 0
        rows = capsys.readouterr().out.splitlines()
        rest = [row for row in rows if not row.startswith("20")]
        assert rest and all(len(row) - len(row.lstrip()) == indent for row in rest)
        assert len(rows) - len(rest) == len(lines) and " ".join(rows).split() == " ".join(lines).split()
        assert all(len(row) <= columns or " " not in row.strip() for row in rows)


def test_the_log_as_json_has_the_same_events(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert here(run, "log", "mine") == 0
    lines = capsys.readouterr().out.splitlines()
    assert here(run, "log", "mine", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == len(lines) and not {each["kind"] for each in found} & {"step", "gauge", "preview"}
    assert [each["test"]["mse"] for each in found if each["kind"] == "epoch"] == [
        event.test.mse for event in LogTail(run.events).read_all() if isinstance(event, EpochEvent)
    ]


def test_tags_and_groups_from_the_shell(own_runs: Path) -> None:
    for name, seed in (("a-1", 1), ("a-2", 2), ("b", 3)):
        make_run(own_runs, name, epochs=1, seed=seed, latent_dim=3 if name == "b" else 32)
    assert finish(command("tag", "b", "good", "paper", "@widths"))[1] == "b: good paper @widths\n"
    assert finish(command("tag", "b"))[1] == "good paper @widths\n"
    listed = {each["name"]: each for each in json.loads(finish(command("ls", "--json"))[1])}
    assert (listed["b"]["tags"], listed["b"]["group"]) == (["good", "paper"], "widths")
    assert (listed["a-1"]["tags"], listed["a-1"]["group"]) == ([], "a"), "seeds of one recipe"
    assert finish(command("tag", "b", ""))[1] == "b: no tags\n"
    refused = finish(command("tag", "b", "@x", "@y"))
    assert refused[0] == 2 and "one group" in refused[2]
