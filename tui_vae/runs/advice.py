"""Commands that messages give as advice: what is worded here works when it is pasted into the reader's shell.

A message ends with its command, or puts `;` or ` && ` behind it: so it can be found again in a text.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tui_vae.config import MAX_NAME
from tui_vae.errors import UsageError
from tui_vae.runs.runs_directory import runs_directory

PROGRAM = "tui-vae"

_WORD = r"""(?:\$?'(?:[^'\\]|\\.)*'|"[^"]*"|[^\s;&'"])+"""
COMMAND = rf"{PROGRAM}(?: {_WORD})+"
"""A command in a text. Its groups of words are as `quoted` writes them."""

MOST_TRIED = 1000
"""How many names are tried for another run like one that is there."""


def command(verb: str, runs_dir: Path, *names: str, options: Sequence[str] = ()) -> str:
    """`tui-vae VERB NAMES OPTIONS`, for runs in `runs_dir`: the shell's own runs directory is not spelled out."""
    where = () if _is_default(runs_dir) else ("--runs-dir", str(runs_dir))
    if any(name.startswith("-") for name in names):
        words = (verb, *options, *where, "--", *names)
    else:
        words = (verb, *names, *options, *where)
    return " ".join([PROGRAM, *map(quoted, words)])


def of_run(verb: str, run: Path, *values: str, options: Sequence[str] = ()) -> str:
    """`tui-vae VERB RUN VALUES OPTIONS`, for the run whose directory is `run`."""
    return command(verb, run.parent, run.name, *values, options=options)


def again(words: Sequence[str]) -> str:
    """The command that a user has given, from its words, to be given once more in the same place."""
    return " ".join([PROGRAM, *map(quoted, words)])


def another_like(run: Path, options: Sequence[str] = ()) -> str:
    """The command that trains a new run with the configuration of the run in `run`, changed by `options`."""
    config = ("--config", str(run / "config.toml"), f"--name={_free_name(run)}")
    return command("train", run.parent, options=(*config, *options))


def _free_name(run: Path) -> str:
    names = (f"{run.name[: MAX_NAME - len(str(number)) - 1]}-{number}" for number in range(2, MOST_TRIED))
    return next((name for name in names if not os.path.lexists(run.with_name(name))), "NAME")


def _is_default(runs_dir: Path) -> bool:
    """Whether commands without `--runs-dir` look there, as they do in the shell that has started this process."""
    try:
        default = runs_directory()
    except UsageError:  # there is none
        return False
    return runs_dir == default or os.path.realpath(runs_dir) == os.path.realpath(default)


def quoted(word: str) -> str:
    """A word as shells read it. What terminals do not show, or would show as something else, is written in ASCII."""
    if word.isprintable() and "  " not in word:
        return shlex.quote(word)
    characters = (
        chr(byte) if 0x20 < byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(word)
    )
    return f"$'{''.join(characters)}'"
