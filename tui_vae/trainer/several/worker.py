"""`python -m tui_vae.trainer.several.worker LINE PARENT`: one rank of a run, started by torchrun's agent (`agent.py`).

The leader trains as the only process of a run does, and gives an order before each step; the others follow its orders.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.trainer.explain import explain
from tui_vae.trainer.output import forgive_output
from tui_vae.trainer.server import Inbox, Ticket
from tui_vae.trainer.several.lines import Answered, Asked, Ended, Failed, Hello, Line, Welcome
from tui_vae.trainer.several.pulse import Pulse

PEERS_LOST = 76
"""As of `agent.py`, which imports more."""

PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal the kernel sends when the parent dies. Stopped processes get it as well."""


def main() -> int:
    parent = int(sys.argv[2])
    _die_with(parent)
    # Batch systems and terminals signal every process; the trainer alone decides what that means.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
        signal.signal(number, signal.SIG_IGN)
    forgive_output()
    try:
        line = Line.to(sys.argv[1])
    except OSError:
        return PEERS_LOST  # the trainer has ended
    line.send(Hello(rank=int(os.environ["RANK"]), local=int(os.environ["LOCAL_RANK"]), pid=os.getpid()))
    lock = line.receive_file()  # held open until this process ends
    welcome = line.receive()
    if lock is None or not isinstance(welcome, Welcome):
        return PEERS_LOST
    inbox, pulse = Inbox(), Pulse(line, parent)
    done = threading.Event()
    threading.Thread(target=_listen, args=(line, inbox, done), name="requests", daemon=True).start()
    try:
        _work(line, welcome, inbox, pulse)
    except UserError as error:
        _fail(line, error)
    except Exception as error:
        from tui_vae.trainer.several.group import PeersLost

        if isinstance(error, PeersLost):
            return PEERS_LOST
        traceback.print_exc()
        _fail(line, explain(error, RunDirectory(Path(welcome.directory))))
    done.set()
    line.close()
    return 0


def _work(line: Line, welcome: Welcome, inbox: Inbox, pulse: Pulse) -> None:
    from tui_vae.trainer.several.group import Group

    group = Group(welcome.leads, pulse)
    if welcome.leads:
        from tui_vae.trainer.several.leader import lead

        line.send(Ended(state=lead(line, welcome, inbox, group)))
    else:
        from tui_vae.trainer.several.follower import follow

        follow(group, pulse)
    with suppress(Exception):
        import torch.distributed

        torch.distributed.destroy_process_group()


def _fail(line: Line, error: UserError) -> None:
    """Say what has failed, and wait to be ended: the others would take an end for the loss of a process."""
    line.send(Failed(message=error.message, hint=error.hint, exit_code=error.exit_code))
    threading.Event().wait()


def _listen(line: Line, inbox: Inbox, done: threading.Event) -> None:
    """Put requests into the inbox for as long as the trainer lives; this process ends with it, unless it is `done`."""
    while (message := line.receive()) is not None:
        if isinstance(message, Asked):
            inbox.put(Ticket(protocol.decode_request(message.body), _answers(line, message.number)))
    if not done.is_set():
        os._exit(PEERS_LOST)


def _answers(line: Line, number: int) -> Callable[[protocol.AnyReply], None]:
    return lambda reply: line.send(Answered(number=number, body=msgspec.msgpack.encode(reply)))


def _die_with(parent: int) -> None:
    """End with the trainer, however it ends; elsewhere than on Linux within a second (`pulse.py`)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(PEERS_LOST)


if __name__ == "__main__":
    os._exit(main())
