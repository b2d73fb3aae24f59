"""Asking a run's living process: one short connection a request."""

from __future__ import annotations

import socket
from typing import TypeVar

import msgspec

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory

ReplyType = TypeVar("ReplyType", bound=protocol.Reply)


class RequestError(UserError):
    """The process refused the request, or could not be reached."""


class NoProcess(RequestError):
    """No process lives in this run."""


def request(
    directory: RunDirectory, message: protocol.AnyRequest, expected: type[ReplyType], timeout: float = 30.0
) -> ReplyType:
    """Send a request to the run's process and wait for its reply.

    Raises:
        NoProcess: nobody listens.
        RequestError: the request was refused, or no answer came within `timeout` seconds.
    """
    name = directory.name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(_address(directory))
            connection.sendall(protocol.frame(message))
            body = _receive(connection, protocol.frame_length(_receive(connection, protocol.HEADER_LENGTH)))
        reply = protocol.decode_reply(body)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoProcess(f"run {name!r} has no living process", f"continue it with: tui-vae resume {name}") from None
    except TimeoutError:
        raise RequestError(f"run {name!r} did not answer within {timeout:g} s", f"see {directory.log}") from None
    except (OSError, EOFError):
        raise NoProcess(f"the process of run {name!r} ended before it answered", f"see {directory.log}") from None
    except (msgspec.DecodeError, ValueError):
        raise RequestError(f"run {name!r} answered something unknown", "is it of another version of tui-vae?") from None
    if isinstance(reply, protocol.Failure):
        raise RequestError(reply.message, reply.hint)
    if not isinstance(reply, expected):
        raise RequestError(f"run {name!r} answered with {type(reply).__name__}, not {expected.__name__}")
    return reply


def _address(directory: RunDirectory) -> str:
    holder = directory.holder()
    return holder.socket if holder and holder.socket else str(directory.socket)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(1 << 20, length - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
