"""The help of every command: one voice, and examples that work as they stand."""

import argparse
import re
import shlex

import pytest

from tests.support.commands import Run
from tui_vae.cli.examples import EXAMPLES, lines_of
from tui_vae.cli.parser import make_parser

PARSER = make_parser()


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [action for action in PARSER._actions if isinstance(action, argparse._SubParsersAction)]
    return {"": PARSER, **found.choices}


def test_every_command_has_examples() -> None:
    assert EXAMPLES.keys() == commands().keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_one_that_the_parser_takes(name: str) -> None:
    for line, _ in lines_of(name):
        words = shlex.split(line.partition(" | ")[0].removeprefix('eval "$(').removesuffix(')"'))
        assert words[0] == "tui-vae"
        parsed = PARSER.parse_args(words[1:])
        assert not name or words[1] == name
        assert callable(parsed.run)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_help_has_its_parts_in_one_order(name: str, tui_vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage, what it does, arguments, own options, those of every command, examples; nothing unexplained."""
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = tui_vae(*([name] if name else []), "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: tui-vae {name}".rstrip() + " ")
    assert max(map(len, out.splitlines())) <= 80
    heads = re.findall(r"(?m)^(\w[\w ]{1,30}):$", out)
    assert heads[-2:] == ["options of every command", "examples"] and heads.count("options") <= 1
    assert "arguments" not in heads or heads[0] == "arguments"
    for action in commands()[name]._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), action
        assert not (action.help or "").endswith("."), action
