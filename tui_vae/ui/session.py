"""One run on screen: its history, which is kept up to date from its log, and requests to its process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

from tui_vae.config.own_code import NotTrusted
from tui_vae.errors import UserError
from tui_vae.runs import launch, protocol
from tui_vae.runs.client import ANSWER_LIMIT, Caller, NoProcess, request
from tui_vae.runs.directory import Living, RunDirectory, check_resumable, deleted_error
from tui_vae.runs.events import LIVING, AnyEvent, LogTail, StateEvent
from tui_vae.runs.history import History, read_newest
from tui_vae.runs.holder import Holder
from tui_vae.runs.log_loader import LogLoader, load_if_long
from tui_vae.runs.trainer_log import words_of_newest
from tui_vae.runs.trust import allow_code
from tui_vae.runs.warm_trainer import WarmTrainer

POLL_SECONDS = 0.25
"""Seconds between checks for new events in the log."""

CHANGED_SECONDS = 0.45
"""Seconds between two reports of a change: more than two a second make curves no smoother, and cost bytes."""

HOLDER_SECONDS = 1.0
"""Seconds between checks for the run's process."""

RUN_EVENT_SECONDS = 2.0
"""Seconds to wait for a log's first event, at most."""

SLICE_SECONDS = 0.1
"""Seconds of reading a long log in one go; whoever leaves the app meanwhile waits so long, at most."""

FIRST_DRAWING_SECONDS = 1.0
"""Seconds that the panes have to draw the newest figures before a long log is read, which blocks drawing."""

PATIENCE = 60.0
"""Seconds to wait for an answer, at most, while a process starts that loads PyTorch, the data and the weights."""

RUN_EVENT_PAUSE, PROCESS_PAUSE = 0.02, 0.1
"""Seconds between two looks at the log for that first event, and for a process that starts."""

OUTPUT_BYTES = 4096
"""Bytes from the end of the trainer's output in which its last lines are looked for."""

ReplyType = TypeVar("ReplyType", bound=protocol.Reply)


class Unresumable(NamedTuple):
    """Why no process could train a run further: what it is, or has; and the whole message, with what to do."""

    brief: str = ""
    message: str = ""


class Look(NamedTuple):
    """What a look at the run's directory has found.

    unresumable: empty where a process could train the run further, or trains it.
    """

    living: Living
    unresumable: Unresumable = Unresumable()


class RunSession:
    """What the app knows of the run on screen.

    A thread reads the log in chunks, and the event loop applies them to the history, so that drawing needs no lock. Of
    a long log the history first holds the two ends; another history replaces it once the whole log has been read.
    """

    def __init__(
        self, directory: RunDirectory, reading: LogLoader | None = None, warm: WarmTrainer | None = None
    ) -> None:
        """`reading`: the reading of the run's log, if that has begun already. `warm`: a process that will train it."""
        self.directory = directory
        self.history = History()
        self._seen = self._look()
        self.caught_up = False
        """Whether the log has been read to its end once."""
        self.partial = False
        """Whether the history holds only the two ends of a long log: run event, newest state and figures."""
        self.drawn = asyncio.Event()
        """Set by the pane once it has drawn the newest figures; then the rest of a long log is read."""
        self.untrusted = ""
        """Which code of the run's model must not run, as a sentence; empty where none was in the way."""
        self._caller = Caller(directory)
        self._tail = LogTail(directory.events)
        self._reading = reading
        self._gone = False
        """Whether no process trained the run when it was last looked for, and the log has been read since."""
        self._starting = False
        self._warm = warm
        self._begun: asyncio.Task[object] | None = None
        """The start of the training that began before anybody waited for it."""
        self._serving: asyncio.Task[object] | None = None

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def living(self) -> Living:
        """The run's processes, as of a second ago at most."""
        return self._seen.living

    @property
    def unresumable(self) -> Unresumable:
        """Why no process could train the run further, as of a second ago at most; empty where one could."""
        return self._seen.unresumable

    @property
    def holder(self) -> Holder | None:
        """The process that holds the run's lock, as of a second ago at most."""
        return self.living.holder

    @property
    def server(self) -> Holder | None:
        """The process that answers about the model, as of a second ago at most."""
        return self.living.server

    @property
    def alive(self) -> bool:
        """Whether a process trains this run, or is paused in it, as of a second ago at most."""
        return self.holder is not None and self.holder.mode == "train"

    @property
    def state(self) -> str:
        """The newest state in the log; `crashed` if that means a living trainer but no process holds the run's lock."""
        newest = self.history.state.state if self.history.state else "loading"
        if self._starting:
            return "loading"
        known = self.caught_up or self.partial
        if newest in LIVING and known and self._gone:
            return "crashed"
        if newest == "training" and self.trouble:
            return "paused"
        return newest

    @property
    def newest_step(self) -> int:
        """The step of the newest weights that answer: the trainer's, or a checkpoint's if another process answers."""
        if not self.living.read_only:
            return self.history.step
        return self.history.checkpoint.step if self.history.checkpoint else 0

    def epoch_of(self, step: int, epoch: int) -> str:
        """The epoch of weights: the one under way, `epoch`, while a trainer lives; else how many are done, `3.4`."""
        size = self.history.run.steps_per_epoch if self.history.run else 0
        return f"{int(10 * step / size) / 10:g}" if size and not self.alive else str(epoch)

    @property
    def trouble(self) -> str:
        """Why training waits, such as for room on a full disk, whose log may not be able to say so; else empty."""
        return self.holder.trouble if self.holder is not None and self.alive else ""

    @property
    def share_read(self) -> float:
        """The share of the log that has been read, from 0 to 1."""
        return 1.0 if self.caught_up else self._tail.share()

    async def wait_for_run_event(self) -> None:
        """Wait a moment for the log's run event, which names the classes: a process may answer sooner."""
        deadline = time.monotonic() + RUN_EVENT_SECONDS
        while self.history.run is None and not self.caught_up and time.monotonic() < deadline:
            await asyncio.sleep(RUN_EVENT_PAUSE)

    async def follow(self, changed: Callable[[], None]) -> None:
        """Keep up with the run for ever, and call `changed` when there is something new, at most twice a second."""
        try:
            await self._catch_up(changed)
        finally:
            if self._reading is not None:
                self._reading.close()
                self._reading = None
        reported_at, looked_at, news = 0.0, 0.0, False
        while True:
            now = time.monotonic()
            events = await self._read()
            look = now - looked_at >= HOLDER_SECONDS
            # First the process, then the log: a trainer takes its lock before it writes its first event, and frees it
            # after its last one. So "no process, and the log says training" can only mean a crash.
            seen, before, fresh = self._seen, self._seen, events
            while look or any(isinstance(event, StateEvent) for event in fresh):
                seen = await asyncio.to_thread(self._look)
                look, looked_at = False, now
                fresh = await self._read()
                events = events + fresh
            self.history.extend(events)
            if self._seen == before:  # else `look_for_process` has looked later than this
                self._seen = seen
                self._gone = not self.alive
            news |= bool(events) or self._seen != before
            behind = not self._tail.at_end()
            if not behind and not self.caught_up:
                self.caught_up = news = True
            if news and now - reported_at >= CHANGED_SECONDS:
                reported_at, news = now, False
                changed()
            await asyncio.sleep(0 if behind else POLL_SECONDS)

    async def _catch_up(self, changed: Callable[[], None]) -> None:
        """Read a long log: its two ends at once, then all of it, while the panes draw what the ends tell."""
        self._reading = self._reading or load_if_long(self.directory.events)
        newest = await asyncio.to_thread(read_newest, self.directory.events)
        if newest is None:
            return
        if not self.alive:  # unless it has begun since
            self._gone = True
            await self.look_for_process()
        self.history, self.partial = newest, True
        changed()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.drawn.wait(), FIRST_DRAWING_SECONDS)
        whole = History()
        if self._reading is not None:
            while batches := await asyncio.to_thread(self._reading.next_batches):
                for batch in batches:
                    whole.apply_batch(batch)
                self._tail = LogTail(self.directory.events, self._reading.end)
                changed()
        while not self._tail.at_end():  # events that have come since; all of them if nothing was read ahead
            await asyncio.to_thread(self._read_slice, whole)
            changed()
        self.history, self.partial = whole, False

    def _read_slice(self, history: History) -> None:
        began = time.monotonic()
        while time.monotonic() - began < SLICE_SECONDS and not self._tail.at_end():
            history.extend(self._tail.read())

    async def _read(self) -> list[AnyEvent]:
        try:
            return await asyncio.to_thread(self._tail.read)
        except OSError:  # it cannot be read at the moment: what is known stays on screen
            return []

    def _look(self) -> Look:
        """Asks the file system, which may take its time over a network."""
        living = self.directory.living()
        if living.holder is None or living.holder.mode != "train":
            if self.directory.changed() is None:
                return Look(living, Unresumable("has been deleted", str(deleted_error(self.directory))))
            try:
                check_resumable(self.directory)
            except UserError as error:
                return Look(living, Unresumable("has its best weights only", str(error)))
            except OSError:  # it cannot be looked at for the moment
                pass
        return Look(living)

    async def look_for_process(self) -> bool:
        """Look which process holds the run, and return whether that has changed."""
        before, self._seen = self._seen, await asyncio.to_thread(self._look)
        self._gone &= not self.alive  # a crash is certain only after the log has been read again
        return before.living != self.living

    async def request(
        self, message: protocol.AnyRequest, expected: type[ReplyType], timeout: float = ANSWER_LIMIT
    ) -> ReplyType:
        """Send a request to the run's process.

        Raises:
            RequestError: there is no process, or it refuses, or does not answer in time.
        """
        return await asyncio.to_thread(request, self.directory, message, expected, timeout)

    async def ask(
        self,
        message: protocol.AnyRequest,
        expected: type[ReplyType],
        patience: float = PATIENCE,
        timeout: float = ANSWER_LIMIT,
    ) -> ReplyType:
        """Send a request about the model. Where no process lives, start one that only serves, and wait for it.

        `patience`: seconds to wait for a process; `timeout`: for the answer of one that lives.

        Raises:
            UserError: no process can be started, or it refuses, or does not answer in time.
        """
        deadline = time.monotonic() + patience
        started = False
        while True:
            try:
                return await asyncio.to_thread(self._caller.ask, message, expected, timeout)
            except NoProcess:
                await self.look_for_process()
                if time.monotonic() > deadline or (started and self.server is None):
                    raise
            if self.server is None:
                # Shielded: the caller may be cancelled, but two processes must not be started at once.
                if self._serving is None or self._serving.done():
                    self._serving = asyncio.create_task(asyncio.to_thread(launch.start_serving, self.directory))
                with self._noting_untrusted():
                    await asyncio.shield(self._serving)
                started = True
            await asyncio.sleep(PROCESS_PAUSE)

    async def train(self, more_epochs: int = 0, lr_factor: float | None = None) -> None:
        """Continue training: tell the living process to, or start one. `lr_factor`: of its learning rate from then on.

        Raises:
            UserError: it cannot be done.
        """
        begun, self._begun, self._starting = self._begun, None, True
        try:
            with self._noting_untrusted():
                await (begun or asyncio.to_thread(
                    launch.continue_training, self.directory, more_epochs, True, self._warm, lr_factor
                ))  # fmt: skip
            await self.look_for_process()
        finally:
            self._starting = False
            self._end_warm()

    async def begin_training(self) -> None:
        """Start the process of a new run; return once it knows its run. `train` waits for it and tells what fails."""
        self._starting, loop, known = True, asyncio.get_running_loop(), asyncio.Event()
        self._begun = asyncio.create_task(asyncio.to_thread(
            launch.start_training, self.directory, leave_core=True, warm=self._warm,
            under_way=lambda: loop.call_soon_threadsafe(known.set),
        ))  # fmt: skip
        self._begun.add_done_callback(lambda _: known.set())
        await known.wait()

    @contextmanager
    def _noting_untrusted(self) -> Iterator[None]:
        try:
            yield
        except NotTrusted as error:
            self.untrusted = error.message
            raise

    async def trust(self) -> None:
        """Allow the code that the run names as its model."""
        await asyncio.to_thread(allow_code, self.directory)
        self.untrusted = ""

    def close(self) -> None:
        """Close the connection to the run's process."""
        self._caller.close()
        self._end_warm()

    def _end_warm(self) -> None:
        if self._warm is not None and not self._starting:  # it has its run by now, or nobody has one for it
            self._warm.close()
            self._warm = None

    def log_tail(self, lines: int = 4) -> str:
        """The last lines of what the newest trainer has printed, which say why it crashed."""
        return "\n".join(words_of_newest(self.directory.output(OUTPUT_BYTES), "train").splitlines()[-lines:])
