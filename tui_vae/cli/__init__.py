"""The command `tui-vae`. Each command's own module is imported only when it runs, so that quick ones stay quick."""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Sequence

from tui_vae.errors import UserError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # what is done by then, Ctrl-C does not undo
    try:
        from tui_vae.cli.parser import parse  # not above, where Ctrl-C would be a traceback

        options = parse(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except UserError as error:
        if debug:
            raise
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone, as `| head` does
        return 1
    except Exception as error:
        if debug:
            raise
        complain(UserError(f"unexpected {type(error).__name__}: {error}", "run it again with --debug to see where"))
        return 1


def complain(error: UserError) -> None:
    """One sentence on stderr. What would steer the terminal, in a name for instance, is written as Python writes it."""
    sentence = " ".join(str(error).split())
    plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sentence)
    print(f"tui-vae: {plain}", file=sys.stderr)
