"""Writes the manual page `docs/man/tui-vae.1`: from the command line's parser, its examples, and `cli/manual.py`.

`python scripts/make_man.py` writes it; with `--check` it only says, by exit code 1, whether it is stale. It is not left
to argparse-manpage, which would list the options of a run three times, and those of every command with each one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from tui_vae import __version__  # noqa: E402
from tui_vae.cli.command_parser import COMMON, Parser  # noqa: E402
from tui_vae.cli.examples import lines_of  # noqa: E402
from tui_vae.cli.manual import ENVIRONMENT, EXIT_CODES, FILES  # noqa: E402
from tui_vae.cli.parser import make_parser  # noqa: E402

PAGE = ROOT / "docs" / "man" / "tui-vae.1"

OF_TRAIN = "tui-vae train"
"""The command whose options of a run are listed; others that take most of them refer to it."""

MOST_REPEATED = 10
"""Options of a run that another command lists itself."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is stale")
    made = page()
    if not parser.parse_args().check:
        PAGE.write_text(made)
    elif not PAGE.exists() or PAGE.read_text() != made:
        print(f"{PAGE.relative_to(ROOT)}: stale; run python scripts/make_man.py", file=sys.stderr)
        return 1
    return 0


def page() -> str:
    """The whole page, as roff with the macros of man(7)."""
    parser = make_parser()
    assert isinstance(parser, Parser) and parser.description and parser.epilog
    (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    summary = parser.description[0].lower() + parser.description[1:].rstrip(".")
    lines = [
        '.\\" Made by scripts/make_man.py; changes here are lost.',
        f'.TH TUI\\-VAE 1 "" "tui\\-vae {escaped(__version__)}" "User Commands"',
        ".SH NAME", f"tui\\-vae \\- {escaped(summary)}",
        ".SH SYNOPSIS", *call(parser.prog, "[OPTIONS] [COMMAND [ARGUMENT ...]]"),
        ".SH DESCRIPTION", escaped(parser.description), ".PP", escaped(parser.epilog),
        ".SH OPTIONS", *options_of(parser, with_common=True),
        ".SH COMMANDS",
    ]  # fmt: skip
    for command in commands.choices.values():
        lines += section(command)
    for title, table in (("EXIT STATUS", EXIT_CODES), ("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)):
        lines += [f".SH {title}", *terms(table)]
    lines += [".SH EXAMPLES", *examples(""), ".SH SEE ALSO", ".BR tmux (1),", ".BR loginctl (1)"]
    return "\n".join(lines) + "\n"


def section(command: Parser) -> list[str]:
    """One command: how it is called, what it does, its arguments and options, examples."""
    usage = command._usage_in_short().removeprefix("%(prog)s ")
    lines = [f".SS {escaped(command.prog.partition(' ')[2])}", *call(command.prog, usage), ".PP",
             escaped(command.description or "")]  # fmt: skip
    if command.epilog:
        lines += [".PP", escaped(command.epilog)]
    return [*lines, *options_of(command), ".PP", *examples(command.prog.partition(" ")[2])]


def options_of(command: argparse.ArgumentParser, with_common: bool = False) -> list[str]:
    """The arguments and options of a command, group by group; those of a run only with `train`."""
    of_a_run = [each for each in command._actions if each.dest.startswith(("option_", "values_"))]
    refers = command.prog != OF_TRAIN and len(of_a_run) > MOST_REPEATED
    lines: list[str] = []
    for group in sorted(command._action_groups, key=lambda group: group.title == COMMON):
        listed = [each for each in group._group_actions if not (refers and each in of_a_run)
                  and not isinstance(each, argparse._SubParsersAction)]  # fmt: skip
        if listed and (with_common or group.title not in (COMMON, "the app")):
            heading = [] if group.title in ("options", "arguments") else [".PP", f".I {escaped(group.title or '')}"]
            lines += [*heading, *terms({named(each): (each.help or "").replace("%%", "%") for each in listed})]
    if refers:
        lines += [".PP", f"The options of a run are those of {escaped(OF_TRAIN)}."]
    return lines


def named(action: argparse.Action) -> str:
    """An option with its value, or an argument, as the page writes it."""
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest)
    if not action.option_strings:
        return str(value)
    return ", ".join(name if action.nargs == 0 else f"{name} {value}" for name in action.option_strings)


def terms(table: Mapping[str, str]) -> Iterable[str]:
    """Words with their explanations, indented below them."""
    for name, text in table.items():
        yield from (".TP", f".B {escaped(name)}", escaped(text))


def call(prog: str, rest: str) -> list[str]:
    """How a command is called."""
    return [f".B {escaped(prog)}", escaped(rest)]


def examples(name: str) -> list[str]:
    """The examples of a command, each below what it does."""
    lines = [line for example, what in lines_of(name) for line in (f"# {what}", example)]
    return [".EX", *(f"    {escaped(line)}" for line in lines), ".EE"]


def escaped(text: str) -> str:
    """Text that roff prints as it is: hyphens are those that one types, no word begins a request."""
    text = re.sub(r"\s+", " ", text.strip()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.exit(main())
