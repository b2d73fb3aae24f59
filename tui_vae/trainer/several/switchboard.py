"""The trainer's end of the lines: it tells processes what to do, hands requests to the leader, hears their beats."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import psutil

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.trainer.server import Ticket
from tui_vae.trainer.several.lines import (
    Answered,
    Asked,
    Beat,
    Ended,
    Failed,
    Hello,
    Line,
    Loaded,
    Trouble,
    Welcome,
)


@dataclass
class Seat:
    """A process at the other end of a line. silent: seconds without a beat. busy: seconds of its present step."""

    hello: Hello
    line: Line = field(repr=False)
    silent: float = 0.0
    busy: float = 0.0
    hung: bool = False


def nothing() -> int:
    """The descriptor of a file that is none."""
    return os.open(os.devnull, os.O_RDONLY)


def line_folder() -> str:
    """A new private folder for a socket and what processes leave behind; those of trainers that were killed go.

    Raises:
        UserError, OSError: none can be made.
    """
    place = runtime_directory()
    for folder in place.glob("ranks-*"):
        with suppress(ValueError):
            if not _lives(int(folder.name.split("-")[1])):
                shutil.rmtree(folder, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"ranks-{os.getpid()}-", dir=place)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Switchboard:
    """Answers the lines of this machine's processes, each on a thread of its own.

    Attributes:
        outcome: how it all ended; None while it has not.
        loaded: what the leader said when it had loaded the run.
    """

    def __init__(
        self, folder: str, welcome: Callable[[Hello], Welcome], lock: Callable[[], int] = nothing,
        announce_trouble: Callable[[str], None] = lambda text: None,
        on_loaded: Callable[[Loaded], None] = lambda loaded: None,
    ) -> None:  # fmt: skip
        """
        folder: where the socket is made. welcome: what a process is to do. lock: gives the descriptor of the run's
        lock, which is held for as long as one of them lives.
        """
        self.path = os.path.join(folder, "line.sock")
        self.outcome: Ended | Failed | None = None
        self._welcome, self._lock = welcome, lock
        self._announce_trouble, self._on_loaded = announce_trouble, on_loaded
        self._guard = threading.Lock()
        self._leader: Line | None = None
        self._seats: list[Seat] = []
        self._numbers = itertools.count()
        self._asked: dict[int, Ticket] = {}
        self._waiting: deque[Ticket] = deque()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, name="switchboard", daemon=True).start()

    def seats(self) -> list[Seat]:
        """The processes that are there."""
        with self._guard:
            return list(self._seats)

    def ask(self, ticket: Ticket) -> None:
        """Hand a request to the leader, now or once there is one."""
        with self._guard:
            self._waiting.append(ticket)
        self._forward()

    def refuse_all(self, error: UserError) -> None:
        """Answer what has not been answered."""
        with self._guard:
            tickets = [*self._asked.values(), *self._waiting]
            self._asked.clear()
            self._waiting.clear()
        for ticket in tickets:
            ticket.refuse(error)

    def close(self) -> None:
        """Take no more lines."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _forward(self) -> None:
        with self._guard:
            while self._leader is not None and self._waiting:
                ticket, number = self._waiting.popleft(), next(self._numbers)
                self._asked[number] = ticket
                self._leader.send(Asked(number=number, body=msgspec.msgpack.encode(ticket.request)))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._attend, args=(Line(connection),), daemon=True).start()

    def _attend(self, line: Line) -> None:
        hello = line.receive()
        if not isinstance(hello, Hello):
            return
        welcome, seat = self._welcome(hello), Seat(hello, line)
        line.send_file(self._lock())
        line.send(welcome)
        with self._guard:
            self._seats.append(seat)
        while (message := line.receive()) is not None:
            match message:
                case Beat(busy=busy):
                    seat.silent, seat.busy = 0.0, busy
                case Loaded():
                    self._on_loaded(message)
                    with self._guard:
                        self._leader = line
                    self._forward()
                case Answered(number=number, body=body):
                    with self._guard:
                        ticket = self._asked.pop(number, None)
                    if ticket is not None:
                        ticket.answer(protocol.decode_reply(body))
                case Trouble(text=text):
                    self._announce_trouble(text)
                case Ended() | Failed():
                    self.outcome = self.outcome or message
        with self._guard:
            self._seats.remove(seat)
            was_leader = self._leader is line
            if was_leader:
                self._leader = None
        if was_leader and self.outcome is None:
            again = UserError("a process of this run was lost", "it begins again from its last checkpoint; ask again")
            with self._guard:
                asked = list(self._asked.values())
                self._asked.clear()
                # The next leader obeys them: who sends SIGTERM may send nothing else but SIGKILL.
                stops = [each for each in asked if isinstance(each.request, protocol.Stop)]
                tickets = [each for each in asked if not isinstance(each.request, protocol.Stop)]
                self._waiting.extend(stops)
            for ticket in tickets:
                ticket.refuse(again)
