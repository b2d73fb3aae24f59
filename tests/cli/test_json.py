"""What `--json` prints has the fields that docs/json.md promises, and every command of that page is here."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.fake_run import FakeProcess, make_run
from tests.support.processes import SMALL, Trained, command, finish
from tui_vae.cli.parser import make_parser
from tui_vae.runs.directory import RunDirectory

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
PROMISED = {
    title: set(re.findall(r"`([\w-]+)`", " ".join(re.findall(r"(?m)^\| (`.*?`) \|", text))))
    for title, text in re.findall(r"(?ms)^## `tui-vae (.+?) --json`\n(.*?)(?=^## |\Z)", PAGE)
}
FIRST_OF_RUNS = {"ls": ["ls"], "verify": ["verify"], "compare": ["compare", "done", "again"], "eval": ["eval", "done"]}


def test_the_page_has_every_command_with_json() -> None:
    (commands,) = [each.choices for each in make_parser()._actions if isinstance(each.choices, dict)]
    able = {name for name, parser in commands.items() if "--json" in parser.format_help()}
    assert {word for title in PROMISED for word in title.split()[:1]} | {"stop", "checkpoint", "set", "sweep"} >= able
    assert all(f"`{name}`" in PAGE or f"tui-vae {name} " in PAGE or f"`{name} --json`" in PAGE for name in able)


@pytest.mark.parametrize("name", FIRST_OF_RUNS)
def test_what_is_said_of_runs(name: str, trained: Trained, tui_vae: Run, tmp_path: Path) -> None:
    for copy in ("done", "again"):
        shutil.copytree(trained.directory.path, tmp_path / copy)
    code, out, err = tui_vae(*FIRST_OF_RUNS[name], "--json", "--runs-dir", tmp_path)
    assert (code, err) == (0, "")
    found = json.loads(out)
    for each in found if isinstance(found, list) else [found]:
        assert PROMISED[name] == each.keys()


def test_what_is_said_of_an_exported_file(trained: Trained, tui_vae: Run, tmp_path: Path) -> None:
    out = tmp_path / "metrics.csv"
    where = ("--runs-dir", trained.runs_dir)
    code, said, err = tui_vae("export", "done", "--what", "metrics", "--out", out, "--json", *where)
    assert (code, err) == (0, "")
    found = json.loads(said)
    assert found.keys() == PROMISED["export"]
    assert (found["path"], found["bytes"]) == (str(out), out.stat().st_size)


@pytest.mark.parametrize("name", ["data", "data fashion-mnist", "doctor"])
def test_what_is_said_of_the_machine(name: str, tui_vae: Run) -> None:
    _, out, _ = tui_vae(*name.split(), "--json")
    found = json.loads(out)
    assert PROMISED[name] == (found[0] if isinstance(found, list) else found).keys()


def test_what_is_said_of_epochs_is_what_the_log_says(trained: Trained) -> None:
    printed = [json.loads(line) for line in trained.stdout.splitlines()]
    _, out, _ = finish(command("log", "done", "--json", "--runs-dir", trained.runs_dir))
    assert printed == [each for each in map(json.loads, out.splitlines()) if each["kind"] == "epoch"]


def test_what_is_said_of_what_was_done_to_a_run(tmp_path: Path, own_runs: Path, tui_vae: Run) -> None:
    run = make_run(own_runs, "run", epochs=2, state="training")
    with FakeProcess(run):
        for words in (["pause", "run"], ["checkpoint", "run"], ["set", "run", "lr=0.1"]):
            code, out, err = tui_vae(*words, "--json")
            assert (code, err) == (0, "")
            found = json.loads(out)
            assert found.keys() == PROMISED["pause"]
            assert (found["run"], found["path"]) == ("run", str(run.path)) and isinstance(found["step"], int)


def test_a_run_in_the_background_and_its_way_on(own_runs: Path) -> None:
    code, out, err = finish(command("train", "--name", "run", *SMALL, "--epochs", 1, "--detach", "--json"))
    assert code == 0, err
    assert json.loads(out) == {"run": "run", "path": str(own_runs / "run")}
    finish(command("log", "-f", "run"))
    code, out, err = finish(command("resume", "run", "--epochs", 1, "--json"))
    assert code == 0, err
    found = json.loads(out)
    assert found.keys() == PROMISED["resume"] and found["kept_as"] is None
    finish(command("log", "-f", "run"))
    assert RunDirectory(own_runs / "run").last.exists()
