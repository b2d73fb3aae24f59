"""What the trainer and the processes that train for it say to each other, over a Unix socket that only they can reach.

The trainer holds the run's lock, listens on the run's socket and writes what happens to the processes; one of them, the
leader, writes the log and the checkpoints, and answers what clients ask. A line that breaks means that the other end is
gone, however it ended.
"""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress

import msgspec

from tui_vae.runs.protocol import MAX_FRAME

HEAD = 4
"""Bytes of the length before each message, big-endian."""

FLUSH = 5.0
"""Seconds for which the last words of a process may take to be read."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What goes over a line."""


class Hello(Message, frozen=True):
    """A process's first words. `local`: which of this machine's it is."""

    rank: int
    local: int
    pid: int


class Welcome(Message, frozen=True, kw_only=True):
    """What a process is to do.

    leads: whether it is the leader, of which alone the rest speaks. `directory`: the run's. `epochs`: more than
    planned. `devices`: what the run's description says from now on. `spare`: cores that others leave free. `trust`:
    digests of what may run.
    """

    leads: bool
    directory: str = ""
    epochs: int = 0
    lr_factor: float | None = None
    devices: int = 1
    leave_core: bool = False
    spare: float | None = None
    trust: tuple[str, ...] = ()


class Beat(Message, frozen=True, kw_only=True):
    """A process lives. `busy`: seconds that it has been at a step of its own, without waiting for others."""

    busy: float


class Loaded(Message, frozen=True, kw_only=True):
    """The run is loaded. `log`: its trackers. `planned`: epochs, all together."""

    log: str | None
    planned: int


class Asked(Message, frozen=True, kw_only=True):
    """A client's request, to the leader."""

    number: int
    body: bytes


class Answered(Message, frozen=True, kw_only=True):
    """The leader's reply to it."""

    number: int
    body: bytes


class Trouble(Message, frozen=True, kw_only=True):
    """Why training waits; empty once it goes on."""

    text: str


class Ended(Message, frozen=True, kw_only=True):
    """Training has ended in this state, which the log says."""

    state: str


class Failed(Message, frozen=True, kw_only=True):
    """An error that another start would meet again."""

    message: str
    hint: str
    exit_code: int


AnyMessage = Hello | Welcome | Beat | Loaded | Asked | Answered | Trouble | Ended | Failed

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyMessage).decode


class Line:
    """One end of a connection. `send` never waits for the other end to read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="line", daemon=True)
        self._writer.start()

    @classmethod
    def to(cls, path: str) -> Line:
        """
        Raises:
            OSError: nobody listens there.
        """
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        return cls(connection)

    def send(self, message: AnyMessage) -> None:
        """Say something, after what was said before; nothing happens where the other end is gone."""
        body = _encode(message)
        self._outgoing.put(len(body).to_bytes(HEAD) + body)

    def send_file(self, descriptor: int) -> None:
        """Hand over an open file, as the very first thing on this line."""
        with suppress(OSError):
            socket.send_fds(self._connection, [b"f"], [descriptor])

    def receive_file(self) -> int | None:
        """The open file that was handed over; None where the other end is gone."""
        try:
            _, files, _, _ = socket.recv_fds(self._connection, 1, 1)
        except OSError:
            return None
        return files[0] if files else None

    def receive(self) -> AnyMessage | None:
        """Wait for the next message; None where the other end is gone."""
        try:
            length = int.from_bytes(self._exactly(HEAD))
            if length > 2 * MAX_FRAME:
                return None
            return _decode(self._exactly(length))
        except (OSError, EOFError, msgspec.DecodeError):
            return None

    def close(self) -> None:
        """Let the last words arrive, then hang up."""
        self._outgoing.put(None)
        self._writer.join(FLUSH)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _write(self) -> None:
        with suppress(OSError):
            while (data := self._outgoing.get()) is not None:
                self._connection.sendall(data)

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            part = self._connection.recv(min(length - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)
