"""Advice works as printed: every command of a message is pasted into a shell, every option that a hint names is one."""

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tui_vae as package
from tests.support.commands import Run
from tests.support.fake_run import make_run
from tests.support.idx_data import write_data
from tests.support.processes import events
from tests.support.training import WILD, new_run, train_here
from tui_vae.cli.parser import make_parser
from tui_vae.errors import UserError
from tui_vae.runs import advice
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.key_advice import KEYS, with_keys

PACKAGE = Path(package.__file__).parent
PARSER = make_parser()
WITHOUT_RUNS = {"data", "doctor", "bench", "completion"}
"""Commands that look at no run: messages may name them as they are."""

IN_WORDS = re.compile(r"tui-vae ([a-z]+)(?!-help)\b")
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]+)")
OF_OTHERS = {"fsize", "pid", "scope", "user", "upgrade"}
"""Options of other programs that hints name: of prlimit, systemd-run and pip."""


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [each for each in PARSER._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found.choices)


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text())) for path in sorted(PACKAGE.rglob("*.py"))]


@cache
def texts(tree: ast.Module) -> list[tuple[int, str]]:
    """The strings of a module, without its docstrings and the comments below constants; `{}` for what is filled in."""
    nodes = list(ast.walk(tree))
    found, passed = [], {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.append((node.lineno, "".join(parts)))
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in passed]
    return found + [(node.lineno, node.value) for node in constants if isinstance(node.value, str)]


def test_no_message_words_a_command_by_itself() -> None:
    """Only `runs/advice.py` knows which `--runs-dir` a command needs, and how a shell reads its words."""
    found = {
        (str(path.relative_to(PACKAGE)), line, verb)
        for path, tree in sources()
        for line, text in texts(tree)
        for verb in IN_WORDS.findall(text.replace(" --help", "-help"))  # which needs no run
        if verb in commands() and verb not in WITHOUT_RUNS
    }
    assert found == set()


def test_every_command_that_a_message_names_is_one_that_the_parser_takes() -> None:
    """Each call of `advice`, with something in place of what is filled in."""
    parsed = set()
    for path, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func) in ("advice.command", "advice.of_run", "advice.another_like"):
                words = shlex.split(_filled_in(node))
                assert words[0] == "tui-vae"
                PARSER.parse_args(words[1:])
                parsed.add((path.name, words[1]))
    assert {verb for _, verb in parsed} == {"attach", "ls", "note", "resume", "show", "stop", "tag", "train"}
    for path, tree in sources():
        for _, text in texts(tree):
            for words in map(shlex.split, re.findall(advice.COMMAND, text.replace("{}", "fashion-mnist"))):
                is_for_shells = path.name in ("parser.py", "completion.py", "examples.py")
                if words[1] in commands() and "--help" not in words and not is_for_shells:
                    PARSER.parse_args(words[1:])


def _filled_in(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr == "another_like":
        return advice.another_like(Path("/runs/a"), ("--lr", "0.1"))
    verb, values = ast.literal_eval(call.args[0]), ["lr=0.1" for _ in call.args[2:]]
    (options,) = [each.value for each in call.keywords] or [ast.Tuple([])]
    words: list[str] = []
    if isinstance(options, ast.Tuple):
        words = [ast.literal_eval(each) if isinstance(each, ast.Constant) else "3" for each in options.elts]
    word = advice.command if call.func.attr == "command" else advice.of_run
    return word(verb, Path("/some runs") if word is advice.command else Path("/some runs/a"), *values, options=words)


def test_every_option_that_a_text_names_is_one() -> None:
    known = {word.removeprefix("--") for each in (PARSER, *commands().values())
             for action in each._actions for word in action.option_strings}  # fmt: skip
    sentences = (text for _, tree in sources() for _, text in texts(tree) if not text.startswith("--"))
    named = {word for text in sentences for word in OPTION.findall(text)}
    assert named - known - OF_OTHERS == set()
    assert len(named) > 15


# -- Pasted into a shell -----------------------------------------------------------------------------------------------


def paste(text: str, where: Path, **environ: str) -> tuple[int, str]:
    """Run the commands of a message as a shell would that runs in `where`."""
    found = [line[found.start() :] for line in text.splitlines() if (found := re.search(advice.COMMAND, line))]
    assert found, text
    shell = f'tui-vae() {{ "{sys.executable}" -P -m tui_vae "$@"; }}; {found[-1]}'
    done = subprocess.run(
        ["bash", "-c", shell], cwd=where, env={**os.environ, **environ}, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


PLACES = ["checkpoints", "a b", "it's", "ümlaut", "two  spaces", "-dash", "$HOME", "a\nb", "a;b", "~x"]


@pytest.mark.parametrize("place", PLACES)
def test_a_command_names_the_runs_directory_that_it_needs(tmp_path: Path, place: str, tui_vae: Run) -> None:
    """The default one is not named; another is, in a form that the shell reads back."""
    runs = tmp_path / place
    code, _, err = tui_vae("attach", "--runs-dir", runs)
    assert code == 1
    assert ("--runs-dir" in err) == (place != "checkpoints")
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {re.findall(advice.COMMAND, err)[-1]}"], capture_output=True, check=True
    ).stdout.split(b"\0")
    assert words[:2] == [b"tui-vae", b"train"]
    assert os.fsencode(runs) in words or place == "checkpoints"


@given(
    name=st.from_regex(r"(?!\.)[A-Za-z0-9._-]{1,64}", fullmatch=True), verb=st.sampled_from(["resume", "set", "show"])
)
def test_a_run_of_any_name_is_named_so_that_the_parser_finds_it(name: str, verb: str) -> None:
    values, options = {"set": (("lr=0.1",), ()), "show": ((), ("--index", "1,2"))}.get(verb, ((), ()))
    words = shlex.split(advice.of_run(verb, Path("/somewhere else") / name, *values, options=options))
    parsed = PARSER.parse_args(words[1:])
    assert parsed.name == name
    assert parsed.runs_dir == "/somewhere else"


def test_another_run_like_one_gets_a_name_that_is_free(tmp_path: Path, tui_vae: Run) -> None:
    run = make_run(tmp_path / "its runs", "-odd", epochs=0, state="failed")
    (run.path.parent / "-odd-2").mkdir()
    words = shlex.split(advice.another_like(run.path))
    parsed = PARSER.parse_args(words[1:])
    assert (parsed.option_name, parsed.runs_dir) == ("-odd-3", str(run.path.parent))
    assert parsed.config == run.config


def test_advice_carries_the_runs_directory_that_the_command_was_given(tmp_path: Path, tui_vae: Run) -> None:
    runs = tmp_path / "my runs"
    make_run(runs, "stopped", epochs=1, state="stopped")
    for arguments in (("compare", "stopped"), ("pause", "stopped")):
        _, out, err = tui_vae(*arguments, "--runs-dir", runs)
        words = shlex.split(re.findall(advice.COMMAND, out + err)[-1])
        assert PARSER.parse_args(words[1:]).runs_dir == str(runs)


def test_a_finished_run_is_not_to_be_resumed_without_a_number_of_epochs(tmp_path: Path, tui_vae: Run) -> None:
    run = make_run(tmp_path / "runs", "done", epochs=1, state="finished")
    for verb in ("pause", "stop"):
        _, _, err = tui_vae(verb, "done", "--runs-dir", run.path.parent)
        assert PARSER.parse_args(shlex.split(re.findall(advice.COMMAND, err)[-1])[1:]).epochs == 10


@pytest.mark.long
def test_a_trained_run_s_advice_is_run_for_real(tmp_path: Path, own_runs: Path) -> None:
    """A run that diverges says what to do; what it says is done, by a shell, and its own advice after that."""
    runs = tmp_path / "its runs"
    directory = new_run(runs, name="wild", epochs=1, lr=10, objective="mse", schedule="constant", norm="none",
                        output="linear")  # fmt: skip
    assert train_here(directory) == 1
    hint = events(directory, ev.ErrorEvent)[-1].hint
    code, said = paste(f"{hint} --lr 1e-3", tmp_path)
    assert code == 0, said
    assert RunDirectory(runs / "wild-2").last.exists()
    code, said = paste(f"advice: {advice.of_run('resume', runs / 'wild-2')}", tmp_path)
    assert code == 1
    assert "is finished" in said
    code, said = paste(said.replace("--epochs 10", "--epochs 1"), tmp_path)
    assert code == 0, said
    code, said = paste(f"advice: {advice.command('ls', runs)} --json", tmp_path)
    assert '"wild-2"' in said


# -- What fits the case ------------------------------------------------------------------------------------------------


def test_data_without_variance_are_no_reason_to_lower_the_learning_rate(tmp_path: Path, own_runs: Path) -> None:
    grey = np.full((600, 28, 28), 77, np.uint8)
    data = write_data(tmp_path / "data", grey, grey[:200])
    directory = new_run(own_runs, epochs=9, lr=10, **WILD, **{"data-dir": str(data)})
    assert train_here(directory) == 1
    said = events(directory, ev.WarningEvent, ev.ErrorEvent)
    assert any("alike" in each.hint for each in said) and not any("lower" in each.hint for each in said)


@pytest.mark.parametrize(("there", "says"), [(1, "images of several"), (9, "--train-limit")])
def test_the_probe_asks_for_more_images_only_where_there_are_more(there: int, says: str) -> None:
    from tui_vae.cli.evaluate import _check_classes

    dataset = SimpleNamespace(labels=lambda part: np.zeros(1, np.uint8), source=SimpleNamespace(train=there))
    run: Any = SimpleNamespace(dataset=dataset, train=[None])
    with pytest.raises(UserError, match=says):
        _check_classes(run)


def test_no_colour_is_said_and_nothing_advised_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_vae.cli import doctor

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    assert "COLORTERM" in doctor._terminal().hint
    monkeypatch.setenv("NO_COLOR", "1")
    finding = doctor._terminal()
    assert finding.ok and not finding.hint
    assert "NO_COLOR" in finding.found


# -- In the app --------------------------------------------------------------------------------------------------------


def test_the_app_names_keys_where_a_key_does_it(tmp_path: Path) -> None:
    run = tmp_path / "its runs" / "-odd"
    assert with_keys(f"continue it with: {advice.of_run('resume', run)}") == "continue it with: r"
    two = f"{advice.of_run('resume', run)} && {advice.of_run('set', run, 'lr=1')}"
    assert with_keys(f"go on: {two}") == "go on: r, then - lowers the learning rate"
    assert with_keys("fetch it: tui-vae data --download x") == "fetch it: tui-vae data --download x"
    assert KEYS.keys() <= commands().keys()
