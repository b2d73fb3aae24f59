"""The parser of a command: one sentence for wrong usage, and a help that ends with examples."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from tui_vae.errors import UsageError, nearest

ANY_WIDTH = 80
"""Columns of text that nobody sees."""

COMMON = "options of every command"
"""The title of the options that all commands have, which stand last in each one's help."""

HELP_OF = {
    "RUN": "name of a run, as `ls` prints it",
    "NAME": "the new name: letters, digits, '.', '_' and '-'",
}
"""What an argument is that is called so, in every command."""

REPEATED: dict[str | int | None, str] = {
    "?": "[{}]",
    "*": "[{} ...]",
    "+": "{} ...",
    argparse.PARSER: "{} ...",
}
"""How an argument stands in the usage, by how often it is given."""


class _WholeWords(argparse.HelpFormatter):
    """Breaks no line within a word such as `kl-warmup`, which is to be typed as it stands."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        from textwrap import wrap

        return wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """Reports an error in one sentence instead of printing the whole usage.

    is_named: whether the command line may mean this command. Others have a name and a summary and no options, whose
    making would take a fifth of a quick command's time.
    """

    is_named = True

    def __init__(self, prog: str | None = None, **settings: Any) -> None:
        # argparse makes a formatter for each option, only to check it. One that looks for the terminal's width imports
        # the archive formats of shutil.
        formatter = partial(argparse.HelpFormatter, width=ANY_WIDTH)
        super().__init__(prog, formatter_class=formatter, **{**settings, "add_help": False})
        self._positionals.title = "arguments"
        if settings.get("add_help", True):
            self.common_options().add_argument("-h", "--help", action="help", help="show this help")

    def common_options(self) -> argparse._ArgumentGroup:
        """The group of the options that all commands have."""
        found = (group for group in self._action_groups if group.title == COMMON)
        return next(found, None) or self.add_argument_group(COMMON)

    def format_help(self) -> str:
        """The help, as wide as the terminal: arguments, the command's own options, those of all commands, examples."""
        from tui_vae.cli.examples import examples_of

        self.formatter_class = _WholeWords
        self.usage = self._usage_in_short()
        self._action_groups.sort(key=lambda group: group.title == COMMON)
        return super().format_help() + examples_of(self.prog.partition(" ")[2])

    def _usage_in_short(self) -> str:
        """What must be given; options that may be given are listed below it, with their help."""
        words = ["%(prog)s", "[OPTIONS]"]
        for action in self._actions:
            metavar = action.metavar or "|".join(map(str, action.choices or [action.dest.upper()]))
            if action.option_strings:
                words += [f"{action.option_strings[0]} {metavar}"] if action.required else []
            else:
                words.append(REPEATED.get(action.nargs, "{}").format(metavar))
        return " ".join(words)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """As usual, where the command may be meant. What is called RUN has the same help everywhere."""
        if not self.is_named:
            return argparse.Action([], "unused")
        if not names[0].startswith("-"):
            settings.setdefault("help", HELP_OF.get(settings.get("metavar", ""), ""))
        return super().add_argument(*names, **settings)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As usual, but the command that was meant says what it does not know, with its own options in mind."""
        options, unknown = self.parse_known_args(args, namespace)
        command = options.__dict__.pop("command", self)
        if unknown:
            command.refuse(unknown)
        return options

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """
        Raises:
            UsageError: always; names the option that was most likely meant.
        """
        word = next((word for word in unknown if word.startswith("-")), unknown[0])
        if word.startswith("-"):
            known = [option for option in self._option_string_actions if option.startswith("--")]
            like = nearest(word.partition("=")[0].replace("_", "-"), known)
            self.error(f"there is no option {word} of {self.prog}{like}")
        self.error(f"it is not known what {word!r} is for; several values of an option have commas between them")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"there is no command {value!r}{nearest(value, action.choices)}")
        raise argparse.ArgumentError(action, f"it must be one of {', '.join(map(str, action.choices))}, not {value!r}")

    def error(self, message: str) -> NoReturn:
        """What argparse calls for wrong usage.

        Raises:
            UsageError: always.
        """
        raise UsageError(message, f"see {self.prog} --help")
