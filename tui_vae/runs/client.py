"""Requests to a run's living process, over a connection for one request or over some that stay open for many."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import msgspec

from tui_vae.errors import UserError
from tui_vae.runs import advice, protocol
from tui_vae.runs.directory import RunDirectory, read_only_error
from tui_vae.runs.reply_checks import check_images

REACH_LIMIT, REACH_PAUSE = 3.0, 0.05
"""Seconds for which a living process that is not listening is tried again, and between two tries: a user's runtime
directory is swept away with their last login session, and the process then listens elsewhere."""

LOADING_LIMIT = 120.0
"""Seconds to wait for an answer where PyTorch, the data and the weights may have to be loaded first."""

ANSWER_LIMIT = 30.0
"""Seconds to wait for any other answer: it comes between two steps of training, which are far shorter."""

FRAME_PART = 1 << 20
"""Bytes of a reply that are received at once, at most."""

OTHER_VERSION = "is it of another version of tui-vae?"
"""The hint for an answer that cannot be understood."""

ReplyType = TypeVar("ReplyType", bound=protocol.Reply)


class RequestError(UserError):
    """The process refused the request, or could not be reached."""


class NoProcess(RequestError):
    """No process listens: none lives in this run, or its socket's file has been deleted and is not back yet."""


class Unreached(NoProcess):
    """A process lives here, and nobody listens at its socket: it ends, or makes the socket anew within two seconds."""


def request(
    directory: RunDirectory, message: protocol.AnyRequest, expected: type[ReplyType], timeout: float = ANSWER_LIMIT
) -> ReplyType:
    """Send a request to the run's process and wait for its reply.

    Raises:
        NoProcess: no process listens.
        ReadOnlyRun: it would change a run of another user.
        RequestError: the request was refused, or no answer came within `timeout` seconds.
    """
    deadline = time.monotonic() + REACH_LIMIT
    while True:
        try:
            with _explaining(directory, timeout), _connect(_address(directory, message), timeout) as connection:
                return _checked(directory, _exchange(connection, message), message, expected)
        except Unreached:
            if time.monotonic() > deadline:
                raise
        time.sleep(REACH_PAUSE)


class Caller:
    """Asks about a model again and again over connections that stay open: a new one costs a busy trainer several turns
    of its interpreter. Only for questions, which may be asked twice: they are repeated where a connection has died.

    Several threads may use it at once.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._idle: deque[socket.socket] = deque()
        self._closed = False

    def ask(self, message: protocol.AnyRequest, expected: type[ReplyType], timeout: float = ANSWER_LIMIT) -> ReplyType:
        """As `request`."""
        with _explaining(self._directory, timeout):
            with suppress(IndexError, EOFError, ConnectionError):
                return self._ask(self._idle.popleft(), message, expected, timeout)
            self._hang_up()  # the other connections are to the same dead process
            connection = _connect(_address(self._directory, message), timeout)
            return self._ask(connection, message, expected, timeout)

    def close(self) -> None:
        """Keep no connection from here on."""
        self._closed = True
        self._hang_up()

    def _hang_up(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.popleft().close()

    def _ask(
        self, connection: socket.socket, message: protocol.AnyRequest, expected: type[ReplyType], timeout: float
    ) -> ReplyType:
        connection.settimeout(timeout)
        try:
            body = _exchange(connection, message)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if self._closed:
            self._hang_up()
        return _checked(self._directory, body, message, expected)


@contextmanager
def _explaining(directory: RunDirectory, timeout: float) -> Iterator[None]:
    """Turn errors of the connection into sentences."""
    name = directory.name
    try:
        yield
    except (FileNotFoundError, ConnectionRefusedError):
        raise _no_process(directory) from None
    except TimeoutError:
        raise RequestError(f"run {name!r} did not answer within {timeout:g} s", f"see {directory.log}") from None
    except (OSError, EOFError):
        raise NoProcess(f"the process of run {name!r} ended before it answered", f"see {directory.log}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise RequestError(f"run {name!r} answered something unknown", OTHER_VERSION) from None


def _no_process(directory: RunDirectory) -> NoProcess:
    living, name = directory.living(), directory.name
    holder = living.server
    if holder is None and living.read_only:
        start = advice.of_run("attach", directory.path)
        return NoProcess(f"no process of yours shows run {name!r}", f"start one with: {start}")
    if holder is None:
        resume = advice.of_run("resume", directory.path)
        return NoProcess(f"run {name!r} has no living process", f"continue it with: {resume}")
    pid = directory.process()
    end = ", or where it was started, if that is another container"
    if pid:
        end = f", or end it, after a checkpoint if it trains, with: kill {pid}"
    return Unreached(f"run {name!r} lives and cannot be reached just now", f"try again in some seconds{end}")


def _connect(address: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _exchange(connection: socket.socket, message: protocol.AnyRequest) -> bytes:
    connection.sendall(protocol.frame(message))
    return _receive(connection, protocol.frame_length(_receive(connection, protocol.HEADER_LENGTH)))


def _checked(
    directory: RunDirectory, body: bytes, message: protocol.AnyRequest, expected: type[ReplyType]
) -> ReplyType:
    name = directory.name
    reply = protocol.decode_reply(body)
    check_answer(message, reply)
    if isinstance(reply, protocol.Failure):
        raise RequestError(reply.message, reply.hint)
    if not isinstance(reply, expected):
        raise RequestError(f"run {name!r} answered with {type(reply).__name__}, not {expected.__name__}")
    return reply


def check_answer(request: protocol.AnyRequest, reply: protocol.AnyReply) -> None:
    """
    Raises:
        ValueError: the reply is not about what was requested.
    """
    match request, reply:
        case protocol.Reconstruct(indices=wanted), protocol.Reconstructions(indices=found) if list(found) != wanted:
            raise ValueError("reconstructions of other images")
        case protocol.Sample(count=count), protocol.Samples():
            check_images(reply.images, count, reply.width, reply.channels)


def _address(directory: RunDirectory, message: protocol.AnyRequest) -> str:
    """Where the process listens that answers this request.

    Raises:
        NoProcess: it lives on another host. ReadOnlyRun: the request would change a run of another user.
        FileNotFoundError: the run is not there.
    """
    living = directory.living()
    if not isinstance(message, protocol.CONTROLS):
        server = living.server
        return server.socket if server and server.socket else str(directory.serving_files(living.read_only).socket)
    holder = living.holder
    if holder is not None and holder.elsewhere:
        what = f"run {directory.name!r} lives on host {holder.elsewhere!r}"
        raise NoProcess(what, "use tui-vae there: no request reaches it")
    if living.not_own:
        raise read_only_error(directory, living.not_own)
    return holder.socket if holder and holder.socket else str(directory.socket)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(FRAME_PART, length - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
