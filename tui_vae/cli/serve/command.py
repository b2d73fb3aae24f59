"""`tui-vae serve`: checks, the socket and the address; then the server until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
from importlib.util import find_spec

from tui_vae.cli import complain
from tui_vae.cli.serve import guard
from tui_vae.cli.streams import output_error, output_was_closed
from tui_vae.errors import UserError
from tui_vae.interrupts import INTERRUPTED
from tui_vae.runs.directory import list_runs
from tui_vae.runs.runs_directory import runs_directory

PORT = 8000
"""The port where none is asked for and nobody else has it; else any free one."""

NAME_ONE = "name an address of this machine, or leave --host out"

MOST_WAITING = 128
"""Connections that wait to be accepted."""


def serve(options: argparse.Namespace) -> int:
    """Serve the app until Ctrl-C or SIGTERM, an app a tab.

    Raises:
        UserError: textual-serve is not installed, standard output is closed, the runs cannot be read, or nothing can
            listen at that address.
    """
    if output_was_closed():
        raise UserError("standard output is closed, and nobody would learn the address", "leave out >&-")
    if find_spec("textual_serve") is None:
        raise UserError("the app cannot be shown in a browser without textual-serve",
                        "install it: pip install textual-serve")  # fmt: skip
    runs_dir = runs_directory(options.runs_dir)
    list_runs(runs_dir)
    listening = _listen(options.host, options.port)
    secret = secrets.token_urlsafe(guard.SECRET_BYTES)
    if not guard.is_loopback(options.host):
        complain(UserError(f"{options.host} is reached from other machines, and nothing is encrypted: who reads the "
                           "network along the way has the address and with it your runs",
                           "leave --host out, and come through ssh -L"))  # fmt: skip
    from tui_vae.cli.serve.server import AppServer

    words = [sys.executable, "-P", "-m", "tui_vae", "--runs-dir", str(runs_dir), *_looks(options)]
    server = AppServer(words, secret, {options.host, socket.gethostname()})

    def ready() -> None:
        print("\n".join(_told(options.host, listening.getsockname()[1], secret)), flush=True)
        if output_error() is not None:  # nobody will ever know the address; `main` says why
            os.kill(os.getpid(), signal.SIGTERM)

    asyncio.run(server.serve_until_told(listening, ready))
    return INTERRUPTED if output_error() is None else 1


def _told(host: str, port: int, secret: str) -> list[str]:
    """What is printed once the server is there."""
    lines = [f"http://{_in_address(host)}:{port}/{secret}/"]
    if guard.is_loopback(host):
        lines.append(f"from another machine: ssh -L {port}:{_in_address(host)}:{port} {socket.gethostname()}, "
                     "then open the same address there")  # fmt: skip
    lines.append("who has the address can do there what you can; Ctrl-C ends the server, and no training")
    return lines


def _in_address(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # all of this machine's addresses: it is asked by its name
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _looks(options: argparse.Namespace) -> list[str]:
    """The options of `tui-vae` itself that were given."""
    words = [] if options.color == "auto" else ["--color", options.color]
    words += [] if options.theme is None else ["--theme", options.theme]
    return words if options.warm else [*words, "--no-warm"]


def _listen(host: str, port: int | None) -> socket.socket:
    """
    Raises:
        UserError: there is no such address here, or the port is another program's.
    """
    for tried in (PORT, 0) if port is None else (port,):
        try:
            family = socket.getaddrinfo(host, tried, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, tried), family=family, backlog=MOST_WAITING)
        except UnicodeError:  # what no name of a machine can be, such as one that is too long
            raise UserError(f"{host!r} is no name of a machine", NAME_ONE) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                problem = UserError(f"port {tried} is another program's", "choose another, or any free one: --port 0")
            elif error.errno in (errno.EACCES, errno.EPERM):
                problem = UserError(f"port {tried} is not yours to take", "choose one from 1024 on, or --port 0")
            else:
                reason = str(error.strerror or error).partition(" (while")[0]  # Python adds the address
                problem = UserError(f"nothing can listen at {host!r}: {reason}", NAME_ONE)
                break
    raise problem
