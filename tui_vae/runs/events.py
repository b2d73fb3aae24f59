"""The event log of a run: one JSON object a line, appended and never rewritten.

The log is the truth about a run; a watcher reads it from its start and follows it. JSON has no NaN: a number that is
not finite is written as null and read as None. `docs/run-directory.md` lists every event with its units.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tui_vae.runs.foreign_text import cleaned
from tui_vae.runs.safe_files import open_own, open_to_read

LARGEST = 2**53
"""The largest count: a double holds every whole number up to it. A line with a larger one is damaged."""

MOST_OWED = 1000
"""Events that wait for a log that cannot be written; the oldest go first. An `epoch` event has about 1 kB."""

COMPLAIN_EVERY = 60.0
"""Seconds between two complaints about a log that cannot be written."""

FASHION_MNIST_PIXELS = 28 * 28

Number = float | None
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]

RunState = Literal["queued", "loading", "training", "paused", "stopped", "finished", "failed"]
LIVING = ("queued", "loading", "training", "paused")
"""The states in which a process lives. A log that ends in one, and whose lock nobody holds, is of one that crashed."""


class DatasetFacts(msgspec.Struct, frozen=True):
    """The data of a run. `source`: where they were found; `train`, `test`: numbers of images.

    `shape`: channels, height and width of each. `split`: where the test images come from. `fingerprint`: of all images
    and labels. Older logs have none of these.
    """

    name: str
    source: str
    train: Count
    test: Count
    classes: tuple[str, ...] = ()
    shape: tuple[Count, ...] = ()
    split: str = ""
    fingerprint: str = ""

    @property
    def pixels(self) -> int:
        """D: numbers of an image in all its channels. Older logs are of FashionMNIST alone."""
        return math.prod(self.shape) if self.shape else FASHION_MNIST_PIXELS


class Metrics(msgspec.Struct, frozen=True, gc=False):
    """The figures of one evaluation; docs/figures.md defines each."""

    loss: Number
    recon: Number
    kl: Number
    mse: Number
    accuracy: Number
    elbo_bpd: Number
    active_units: Count
    kl_per_dim: tuple[Number, ...] = ()


class Legacy(msgspec.Struct, frozen=True):
    """The original notebook's figures, in its own units: sums over a batch, averaged over the batches of an epoch."""

    recon: Number
    kl: Number
    accuracy: Number


class ByClass(msgspec.Struct, frozen=True, gc=False):
    """Means over the test images of each class, in the order of `classes`; null for a class without any.

    mse: a pixel's squared error on [0, 1], at z = μ. kl: nats.
    """

    mse: tuple[Number, ...]
    kl: tuple[Number, ...]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`t` is in seconds since the epoch."""

    t: Moment = msgspec.field(default_factory=time.time)


class RunEvent(Event, frozen=True, kw_only=True, tag="run"):
    """Written at every start and restart. `step`: where this process begins; `epochs`: how many are planned in all.

    `id`: drawn when the run began, and in its checkpoints too; older logs do not have it.
    """

    name: str
    config: dict[str, Any]
    device: str
    dataset: DatasetFacts
    parameters: Count
    versions: dict[str, str]
    device_name: str = ""
    threads: Count = 0
    precision: str = ""
    step: Count | UnsetType = UNSET
    epochs: Count = 0
    steps_per_epoch: Count = 0
    id: str = ""


class StateEvent(Event, frozen=True, kw_only=True, tag="state"):
    """The run's state from now on. `reason`: why, if there is more to say than the state; else empty.

    `after`: the name of the run that one which is `queued` waits for.
    """

    state: RunState
    reason: str = ""
    after: str = ""


class StepEvent(Event, frozen=True, kw_only=True, tag="step", gc=False):  # a long log holds a million of these
    """Means over the steps since the previous `step` event. `epoch` counts from 1; `images` since the run began."""

    epoch: Count
    step: Count
    images: Count
    loss: Number
    recon: Number
    kl: Number
    lr: Number
    beta: Number
    images_per_s: Number


class GaugeEvent(Event, frozen=True, kw_only=True, tag="gauge", gc=False):
    """How the training and its machine fare at a step; every other second. None: not known.

    encoder_gradient, decoder_gradient: Euclidean norm of the loss's gradient, of that step. cpu, gpu: load in percent,
    of the whole machine and of the GPU. memory, gpu_memory: bytes of the process, and of the GPU in use.
    """

    step: Count
    encoder_gradient: Number = None
    decoder_gradient: Number = None
    cpu: Number = None
    memory: Number = None
    gpu: Number = None
    gpu_memory: Number = None


class EpochEvent(Event, frozen=True, kw_only=True, tag="epoch", gc=False):
    """The end of an epoch. `beta` is the β in the `loss` of both evaluations, `lr` the learning rate of its last step;
    older logs do not have them, nor `by_class`, which is missing where `kl_per_dim` is empty too."""

    epoch: Count
    step: Count
    seconds: float
    images_per_s: Number
    train: Metrics
    test: Metrics
    beta: Number | UnsetType = UNSET
    lr: Number | UnsetType = UNSET
    legacy: Legacy | UnsetType = UNSET
    by_class: ByClass | UnsetType = UNSET


class PreviewEvent(Event, frozen=True, kw_only=True, tag="preview"):
    """The previews of an epoch were saved. `file`: its name in `previews/`."""

    epoch: Count
    file: str


class CheckpointEvent(Event, frozen=True, kw_only=True, tag="checkpoint", gc=False):
    """A checkpoint was written. `file`: its name; `best`: whether it is that of the best test figure."""

    epoch: Count
    step: Count
    file: str
    best: bool


class ControlEvent(Event, frozen=True, kw_only=True, tag="control"):
    """`command` is `pause`, `resume`, `stop`, `checkpoint`, `set lr`, `set muon-lr` or `set beta`; `value` the new
    one.

    `before`, in JSON `from`: the lr or β that it replaced. Older logs do not have it.
    """

    command: str
    value: Number
    epoch: Count
    step: Count
    before: Number | UnsetType = msgspec.field(default=UNSET, name="from")


class WarningEvent(Event, frozen=True, kw_only=True, tag="warning"):
    """Something that the user should know while the run goes on. `hint`: what to do about it, or empty."""

    message: str
    hint: str = ""


class ErrorEvent(Event, frozen=True, kw_only=True, tag="error"):
    """Why the run failed. `hint`: what to do about it, or empty. `refused`: it never began, because of what it was
    asked for; nothing of it is worth keeping."""

    message: str
    hint: str = ""
    refused: bool = False


AnyEvent = (
    RunEvent | StateEvent | StepEvent | GaugeEvent | EpochEvent | PreviewEvent
    | CheckpointEvent | ControlEvent | WarningEvent | ErrorEvent
)  # fmt: skip

DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding a line that is not an event of this version; the last one for endless brackets."""

WITHOUT_TEXT = (StepEvent, EpochEvent, GaugeEvent)
"""The events that a log has most of; they hold numbers only."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def parse_line(line: bytes) -> AnyEvent | None:
    """The event in a line; None for a kind that this version does not know, or a torn or damaged line."""
    try:
        event = _decoder.decode(line)
        return cleaned(event) if _may_steer(line) else event
    except DAMAGED:
        return None


def parse_lines(data: bytes) -> list[AnyEvent]:
    """The events in whole lines. They are decoded all at once unless one fails: a long log opens twice as fast."""
    try:
        events = _decoder.decode_lines(data)
        if _may_steer(data):
            return [event if type(event) in WITHOUT_TEXT else cleaned(event) for event in events]
        return events
    except DAMAGED:
        return [event for line in data.split(b"\n") if (event := parse_line(line)) is not None]


def _may_steer(data: bytes) -> bool:
    """Whether texts in it may hold what steers a terminal: such a character is escaped, not ASCII, or DEL."""
    return b"\\" in data or b"\x7f" in data or not data.isascii()


def encode_line(event: AnyEvent) -> bytes:
    """An event as the log holds it: one line of JSON, with its end."""
    return _encoder.encode(event) + b"\n"


class EventLog:
    """Appends events to a run's log, each by one write, so that another process never sees a mixture of two.

    Events that cannot be written, on a full disk say, are kept and written before the next one, but for `step` events.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: it cannot be written, or is no plain file of this user.
        """
        self._file = open_own(path, os.O_RDWR | os.O_APPEND)
        self._owed: deque[AnyEvent] = deque(maxlen=MOST_OWED)
        self._complain_at = 0.0
        size = os.fstat(self._file).st_size
        self._torn = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"

    def write(self, event: AnyEvent) -> None:
        """Append an event, after those that are owed. Where that fails the run goes on, and the event is owed."""
        if self._owed:
            self.pay()
        written = not self._owed and self._append(event)
        if not written and not isinstance(event, StepEvent):
            self._owed.append(event)

    def pay(self) -> None:
        """Write the events that are owed, as far as that is possible now."""
        while self._owed and self._append(self._owed[0]):
            self._owed.popleft()

    def _append(self, event: AnyEvent) -> bool:
        line = encode_line(event)
        if self._torn:
            line = b"\n" + line  # a line torn by a crash or a full disk stays on its own, and readers skip it
        try:
            self._torn = os.write(self._file, line) != len(line)
        except OSError as error:
            self._torn = True
            if time.monotonic() >= self._complain_at:
                self._complain_at = time.monotonic() + COMPLAIN_EVERY
                print(f"cannot write the event log: {error}", file=sys.stderr)
        return not self._torn

    def size(self) -> int:
        """Bytes written so far: where the next event begins."""
        return os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)


class LogTail:
    """Follows a log. End of file means "not yet"; a torn last line is kept until its rest arrives."""

    CHUNK = 1 << 20
    """Bytes of one `read`: about 10 ms of parsing, so that a caller can do other things in between."""

    MOST_LINE = 4 << 20
    """Bytes of the longest line that is kept: a `run` event with every option has 2 kB. A longer one is skipped."""

    def __init__(self, path: Path, offset: int = 0, only: tuple[bytes, ...] = (), until: int | None = None) -> None:
        """`offset`: where to begin, in bytes; events before it are not read. `only`: lines without any of these are
        passed over. `until`: where to end, in bytes, if not where the log does."""
        self._until = math.inf if until is None else until
        self.path = path
        self._only = only
        self._offset = offset
        self._rest: list[bytes] = []
        """The beginning of a line in the pieces that were read: they are joined once, when its end comes."""
        self._begun = 0
        """Bytes of that beginning. The pieces of a line that is too long are not kept."""

    def read(self) -> list[AnyEvent]:
        """The next events, from at most one chunk of the file.

        Raises:
            OSError: it cannot be read, or is no plain file. One that is missing has no events.
        """
        try:
            with open_to_read(self.path) as file:
                file.seek(self._offset)
                data = file.read(int(min(self.CHUNK, self._until - self._offset)))
        except FileNotFoundError:
            return []
        self._offset += len(data)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            if self._begun > self.MOST_LINE:
                whole = whole.partition(b"\n")[2]
            elif self._rest:
                whole = b"".join([*self._rest, whole])
            self._rest.clear()
            self._begun = 0
        self._begun += len(rest)
        if self._begun > self.MOST_LINE:
            self._rest.clear()
        elif rest:
            self._rest.append(rest)
        if self._only:
            whole = b"\n".join(line for line in whole.split(b"\n") if any(each in line for each in self._only))
        return parse_lines(whole) if newline else []

    @property
    def end_of_line(self) -> int:
        """The offset in the log, in bytes, of the first line that `read` has not returned yet."""
        return self._offset - self._begun

    def at_end(self) -> bool:
        """Whether the log has been read as far as it is written now."""
        try:
            return min(self.path.stat().st_size, self._until) <= self._offset
        except FileNotFoundError:
            return True

    def share(self) -> float:
        """How much of the log has been read, from 0 to 1."""
        try:
            return min(1.0, self._offset / max(1, self.path.stat().st_size))
        except FileNotFoundError:
            return 1.0

    def read_all(self) -> list[AnyEvent]:
        """Everything written up to now."""
        events = self.read()
        while not self.at_end():
            events += self.read()
        return events
