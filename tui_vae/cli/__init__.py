"""The command `tui-vae`. A command's module is imported only when that command runs, so that quick ones stay quick."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Sequence

from tui_vae.cli import streams
from tui_vae.errors import NO_MORE_PROCESSES, UserError, is_out_of_memory, is_out_of_threads
from tui_vae.interrupts import INTERRUPTED, end_quietly_again

LONGEST_WORD = 4200
"""Characters of a word in a message, about PATH_MAX: what is longer, such as an argument without an end, is cut."""

SHOWN_OF_WORD = 60
"""Characters that are shown of a longer word: its beginning is enough to recognize it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    if "_ARGCOMPLETE" in os.environ and arguments is None:
        from tui_vae.cli.completion import answer_shell

        answer_shell()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at exit comes too late to undo anything
    streams.prepare()
    code = _run(arguments, debug="--debug" in arguments)
    error = streams.output_error()
    if error is None:
        return code
    if not isinstance(error, BrokenPipeError):  # where the reader of our output has gone, as in `| head`, nobody asks
        complain(
            UserError(f"standard output cannot be written: {error.strerror}", "some of it is lost; send it elsewhere")
        )
    streams.give_output_up()
    return code or 1


def _run(arguments: Sequence[str], debug: bool) -> int:
    try:
        try:
            from tui_vae.cli.parser import parse  # here, so that Ctrl-C during the import is no traceback

            options = parse(arguments)
            code: int = options.run(options)
            return code
        finally:
            end_quietly_again()
    except SystemExit as end:  # argparse ends so after `--help` and `--version`
        return int(end.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except UserError as error:
        if debug:
            raise
        complain(error)
        return error.exit_code
    except BrokenPipeError:
        return 1
    except Exception as error:
        if debug:
            raise
        if is_out_of_memory(error):
            hint = "end other programs, raise a limit on memory (ulimit -v), or ask for less"
            complain(UserError("there is not enough free memory for that", hint))
            return 1
        if is_out_of_threads(error):
            complain(UserError("the system starts no more threads", NO_MORE_PROCESSES))
            return 1
        if isinstance(error, OSError) and error.filename:
            complain(UserError(f"cannot use {os.fsdecode(error.filename)}: {error.strerror}", "name another place"))
            return 1
        complain(UserError(f"unexpected {type(error).__name__}: {error}", "run it again with --debug to see where"))
        return 1


def complain(error: UserError) -> None:
    """Print one sentence on stderr. Control characters, in a name for instance, are escaped as Python escapes them."""
    words = (word if len(word) <= LONGEST_WORD else f"{word[:SHOWN_OF_WORD]}…" for word in str(error).split())
    sentence = " ".join(words)
    plain = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in sentence)
    print(f"tui-vae: {plain}", file=sys.stderr)
