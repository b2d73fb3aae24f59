"""The command `tui-vae`. A command's module is imported only when that command runs, so that quick ones stay quick."""

from __future__ import annotations

import atexit
import signal
import sys
from collections.abc import Sequence

from tui_vae.errors import UserError

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as of shells."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in arguments
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at exit comes too late to undo anything
    try:
        from tui_vae.cli.parser import parse  # here, so that Ctrl-C during the import is no traceback

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
        sys.stderr.close()  # the reader of our output has gone, as in `| head`
        return 1
    except Exception as error:
        if debug:
            raise
        complain(UserError(f"unexpected {type(error).__name__}: {error}", "run it again with --debug to see where"))
        return 1


def complain(error: UserError) -> None:
    """Print one sentence on stderr. Control characters, in a name for instance, are escaped as Python escapes them."""
    sentence = " ".join(str(error).split())
    plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in sentence)
    print(f"tui-vae: {plain}", file=sys.stderr)
