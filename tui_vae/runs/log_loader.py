"""A long log, read by a process of its own, so that decoding does not block drawing: Python runs one thread at a time.

`python -m tui_vae.runs.log_loader LOG FILE START [UNTIL]` packs the log's events in pieces, from one offset to another,
writes them to the inherited file descriptor FILE, and prints each piece's length to stdout. It never waits for its
reader.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from array import array
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec

from tui_vae.affinity import usable_core_numbers
from tui_vae.runs.events import AnyEvent, LogTail
from tui_vae.runs.history import LONG, EventBatch, batched
from tui_vae.runs.safe_files import open_to_read

CHUNKS = 8
"""Chunks of a `LogTail` in one piece: 8 MiB, which keeps the messages few and the first one early."""

LONG_PART, MOST_PARTS = 32 << 20, 4
"""Bytes of a part of a log for which a process of its own is worth its start; and such processes at most, of which each
has a core."""


class _PackedBatch(msgspec.Struct):
    others: list[AnyEvent]
    steps: list[bytes]


class _Piece(msgspec.Struct):
    """`end`: the offset in the log of the event after this piece."""

    end: int
    batches: list[_PackedBatch]


_decoder = msgspec.msgpack.Decoder(_Piece)


def load_if_long(log: Path) -> LogLoader | None:
    """Begin to read a long log; None where it is short, or no process or temporary file can be had."""
    try:
        return LogLoader(log) if log.stat().st_size > LONG else None
    except OSError:
        return None


class LogLoader:
    """Begins to read the log at once, a very long one in parts, each by a process of its own.

    Raises:
        OSError: no process can be started, or no temporary file made.
    """

    def __init__(self, log: Path) -> None:
        self.end = 0
        """How far the log has been read, in bytes: to the end of a line."""
        self._parts: list[_Part] = []
        starts = part_starts(log)
        try:
            for start, until in zip(starts, [*starts[1:], None], strict=True):
                self._parts.append(_Part(log, start, until))
        except OSError:
            self.close()
            raise

    def next_batches(self) -> list[EventBatch]:
        """The next events of the log; an empty list at its end, or when a process has died."""
        while self._parts:
            piece = self._parts[0].next_piece()
            if piece is not None:
                self.end = piece.end
                return [
                    EventBatch(each.others, [array("d", column) for column in each.steps]) for each in piece.batches
                ]
            if self.end != self._parts[0].until:
                return []  # what the next part holds does not follow on what is known
            self._parts.pop(0).close()
        return []

    def close(self) -> None:
        """End the processes that have not ended by themselves."""
        for part in self._parts:
            part.close()


class _Part:
    """A process that reads the log from `start` to `until`: offsets where lines begin, or None, which is its end."""

    def __init__(self, log: Path, start: int, until: int | None) -> None:
        self.until = until
        self._packed = tempfile.TemporaryFile()  # noqa: SIM115  # see `close`
        self._position = 0
        numbers = [str(each) for each in (self._packed.fileno(), start, until) if each is not None]
        try:
            self.process = subprocess.Popen(  # noqa: S603  # this Python, our module; no shell reads the path
                [sys.executable, "-P", "-m", "tui_vae.runs.log_loader", str(log), *numbers],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=(self._packed.fileno(),),
            )  # fmt: skip
        except OSError:
            self._packed.close()
            raise

    def next_piece(self) -> _Piece | None:
        """The next piece; None after the last, or when the process has died."""
        assert self.process.stdout is not None
        length = self.process.stdout.readline()
        if not length:
            return None
        packed = os.pread(self._packed.fileno(), int(length), self._position)
        self._position += len(packed)
        try:
            return _decoder.decode(packed)
        except msgspec.DecodeError:  # the disk was full
            return None

    def close(self) -> None:
        """End the process, if it has not ended by itself."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._packed.close()


def part_starts(log: Path) -> list[int]:
    """The offsets in a log, in bytes, where its parts begin: 0, and beginnings of lines at about equal distances."""
    size = log.stat().st_size
    count = min(len(usable_core_numbers()), size // LONG_PART, MOST_PARTS)
    starts = [0]
    with open_to_read(log) as file:
        for number in range(1, count):
            file.seek(number * size // count)
            before, newline, _ = file.read(LogTail.CHUNK).partition(b"\n")
            start = number * size // count + len(before) + 1
            if newline and starts[-1] < start < size:  # else it is within a very long line
                starts.append(start)
    return starts


def write_pieces(log: Path, packed: BinaryIO, start: int = 0, until: int | None = None) -> None:
    """Write everything that the log holds now, or what it holds from `start` to `until`."""
    tail, encoder = LogTail(log, start, until=until), msgspec.msgpack.Encoder()
    while not tail.at_end():
        events = list(chain.from_iterable(tail.read() for _ in range(CHUNKS)))
        batches = [_PackedBatch(each.others, [column.tobytes() for column in each.steps]) for each in batched(events)]
        print(packed.write(encoder.encode(_Piece(tail.end_of_line, batches))), flush=True)


if __name__ == "__main__":
    with open(int(sys.argv[2]), "wb", buffering=0) as file:
        write_pieces(Path(sys.argv[1]), file, *map(int, sys.argv[3:]))
