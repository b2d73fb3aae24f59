"""The socket's server: a thread of its own receives requests and puts them into the inbox of the training thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tui_vae.errors import UserError
from tui_vae.runs import protocol
from tui_vae.runs.lock import RunLock

SLOW_CLIENT = 30.0
"""Seconds within which a client must read its answer; then it is disconnected."""

REBIND_EVERY = 1.0
"""Seconds between checks whether the socket's file is still there: soon for a person, and one system call each."""

UNREACHABLE_FOR = 2.0
"""Seconds until the next attempt where there is no place to listen."""

READY_LIMIT = 5.0
"""Seconds for which a process waits at its start until it listens; it goes on also where it cannot."""


@dataclass
class Ticket:
    """A request and the way to answer it. Only the first answer counts; answering never blocks."""

    request: protocol.AnyRequest
    _send: Callable[[protocol.AnyReply], None] = field(repr=False)
    answered: bool = False

    def answer(self, reply: protocol.AnyReply) -> None:
        """Send the reply, unless one has been sent."""
        if not self.answered:
            self.answered = True
            self._send(reply)

    def refuse(self, error: UserError) -> None:
        """Answer with an error's sentence and hint."""
        self.answer(protocol.Failure(message=error.message, hint=error.hint))


class Inbox:
    """Requests in the order of their arrival, and how long there has been none."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._exchanges = 0
        self._last_exchange = time.monotonic()
        self._lost: UserError | None = None

    @contextlib.contextmanager
    def exchange(self) -> Iterator[None]:
        """Count a request as under way. Called on the server's thread only."""
        self._exchanges += 1
        try:
            yield
        finally:
            self._last_exchange = time.monotonic()
            self._exchanges -= 1

    def idle_seconds(self) -> float:
        """Seconds since the last answer was sent, or since the start; 0 while a request is under way."""
        return 0.0 if self._exchanges else time.monotonic() - self._last_exchange

    def put(self, ticket: Ticket) -> None:
        self._queue.put(ticket)

    def lose(self, error: UserError) -> None:
        """The run is lost: whoever looks into the inbox next gets this error."""
        self._lost = error

    def pending(self) -> Iterator[Ticket]:
        """The requests that have come; takes next to no time where none has.

        Raises:
            UserError: the run is lost.
        """
        if self._lost:
            raise self._lost
        while not self._queue.empty():
            yield self._queue.get_nowait()

    def wait(self, seconds: float) -> Ticket | None:
        """The next request, or None when none came in time.

        Raises:
            UserError: the run is lost.
        """
        if self._lost:
            raise self._lost
        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout=seconds)
        return None


class Server:
    """Listens on the run's socket until the process ends; binds again where the socket's file has been swept away.

    (A user's runtime directory disappears with their last login session, and is back with the next; training goes on.)
    """

    def __init__(self, place: Callable[[], Path], lock: RunLock, inbox: Inbox) -> None:
        """`place`: gives the path of the socket; the user's runtime directory may be another one later."""
        self._place = place
        self._lock = lock
        self._inbox = inbox
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._main: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen, in a thread. Returns when the first client can connect, or after `READY_LIMIT` seconds."""
        self._thread.start()
        self._ready.wait(READY_LIMIT)

    def close(self, grace: float = 1.0) -> None:
        """Give answers on their way `grace` seconds to arrive, then stop listening."""
        if self._thread.ident is None:
            return  # it could not be started
        with contextlib.suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self._finish(grace), self._loop)
        self._thread.join(grace + 1)

    async def _finish(self, grace: float) -> None:
        if self._connections:
            await asyncio.wait(self._connections, timeout=grace)
        if self._main:
            self._main.cancel()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._listen())
        self._loop.run_until_complete(self._hang_up())

    async def _hang_up(self) -> None:
        """Disconnect the clients that are still there."""
        talks = asyncio.all_tasks() - {asyncio.current_task()}
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _listen(self) -> None:
        self._main = asyncio.current_task()
        while True:
            try:
                await self._listen_at(self._place())
            except (OSError, UserError) as error:  # no place to listen for now; training goes on
                print(f"cannot be reached: {error}", file=sys.stderr)
                await asyncio.sleep(UNREACHABLE_FOR)

    async def _listen_at(self, path: Path) -> None:
        """Listen until the socket's file is gone or belongs elsewhere."""
        path.unlink(missing_ok=True)  # a leftover: only the holder of the lock listens
        server = await asyncio.start_unix_server(self._talk, path)
        inode = None
        try:
            os.chmod(path, 0o600)
            inode = path.stat().st_ino
            self._lock.listens_at(path)
            self._ready.set()
            while _inode(path) == inode and self._place() == path:
                await asyncio.sleep(REBIND_EVERY)
        finally:
            server.close()
            if inode and _inode(path) == inode:
                path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while True:
                length = protocol.frame_length(await reader.readexactly(protocol.HEADER_LENGTH))
                body = await reader.readexactly(length)
                self._connections.add(task)
                with self._inbox.exchange():
                    writer.write(protocol.frame(await self._ask(body)))
                    await asyncio.wait_for(writer.drain(), SLOW_CLIENT)
                self._connections.discard(task)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValueError):
            pass  # the client left, or does not speak this protocol
        except asyncio.CancelledError:
            pass  # this process ends; asyncio would print the exception
        finally:
            self._connections.discard(task)
            writer.close()

    async def _ask(self, body: bytes) -> protocol.AnyReply:
        try:
            request = protocol.decode_request(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return protocol.Failure(message=f"the request was not understood: {error}")
        answer: asyncio.Future[protocol.AnyReply] = self._loop.create_future()

        def resolve(reply: protocol.AnyReply) -> None:
            if not answer.done():
                answer.set_result(reply)

        def send(reply: protocol.AnyReply) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended with its process
                self._loop.call_soon_threadsafe(resolve, reply)

        self._inbox.put(Ticket(request, send))
        return await answer


def _inode(path: os.PathLike[str]) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
