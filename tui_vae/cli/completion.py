"""`tui-vae completion`, and what a shell is told when somebody presses tab: by argcomplete, which asks the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import argcomplete
from argcomplete.shell_integration import shellcode

from tui_vae import config
from tui_vae.cli.parser import make_parser
from tui_vae.errors import UserError
from tui_vae.runs.data_found import completions
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.kept import kept_epochs
from tui_vae.runs.runs_directory import runs_directory

WHERE = {
    "bash": 'eval "$(tui-vae completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(tui-vae completion zsh)"   # in ~/.zshrc, behind compinit',
    "fish": "tui-vae completion fish | source   # in ~/.config/fish/config.fish",
}
"""The line that has each shell complete this command, and where it goes."""

Completer = Callable[..., Iterable[str]]


def completion(options: argparse.Namespace) -> int:
    """Print what a shell runs to complete this command."""
    print(f"# {WHERE[options.shell]}")
    print(shellcode(["tui-vae"], shell=options.shell))
    return 0


def answer_shell() -> None:
    """Tell the shell that has set `_ARGCOMPLETE` how its line may go on, and end."""
    parser = make_parser()
    for action in _actions(parser):
        completer = _completer_of(action)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks
    argcomplete.autocomplete(parser)


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _completer_of(action: argparse.Action) -> Completer | None:
    """None leaves it to argcomplete, which takes the action's choices or the names of files."""
    name = action.dest.removeprefix("option_").removeprefix("values_")
    if action.metavar == "RUN":
        return _runs
    if action.metavar == "best|last|EPOCH":
        return _checkpoints
    if action.metavar == "ray[=ADDRESS]|slurm":
        return partial(_choices, ("ray", "slurm"))
    if name == "dataset" or action.metavar == "NAME|PATH":
        return _data
    option = config.options().get(name) if name != action.dest else None
    if option is not None and option.choices:
        return partial(_choices, option.choices)
    return None


def _choices(choices: tuple[str, ...], **_: Any) -> tuple[str, ...]:
    return choices


def _runs(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    try:
        return [run.name for run in list_runs(runs_directory(parsed_args.runs_dir))]
    except UserError:
        return []


def _checkpoints(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    try:
        directory = RunDirectory(runs_directory(parsed_args.runs_dir) / str(parsed_args.name))
        return ["last", "best", *map(str, kept_epochs(directory.kept))]
    except (UserError, OSError):
        return ["last", "best"]


def _data(prefix: str, **_: Any) -> list[str]:
    return completions(prefix) if prefix else [*config.NAMED_SETS]
