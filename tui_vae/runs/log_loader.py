"""A long log, read by a process of its own, so that decoding does not block drawing: Python runs one thread at a time.

`python -m tui_vae.runs.log_loader LOG FILE` packs the log's events in pieces, writes them to the inherited file
descriptor FILE, and prints each piece's length to stdout. It never waits for its reader.
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

from tui_vae.runs.events import AnyEvent, LogTail
from tui_vae.runs.history import LONG, EventBatch, batched

CHUNKS = 8
"""Chunks of a `LogTail` in one piece: 8 MiB, which keeps the messages few and the first one early."""


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
    """Begins to read the log at once.

    Raises:
        OSError: no process can be started, or no temporary file made.
    """

    def __init__(self, log: Path) -> None:
        self.end = 0
        """How far the log has been read, in bytes: to the end of a line."""
        self._packed = tempfile.TemporaryFile()  # noqa: SIM115  # see `close`
        self._position = 0
        self._process = subprocess.Popen(  # noqa: S603  # this Python, our module; no shell reads the path
            [sys.executable, "-P", "-m", "tui_vae.runs.log_loader", str(log), str(self._packed.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=(self._packed.fileno(),),
        )  # fmt: skip

    def next_batches(self) -> list[EventBatch]:
        """The next events of the log; an empty list at its end, or when the process has died."""
        assert self._process.stdout is not None
        length = self._process.stdout.readline()
        if not length:
            return []
        packed = os.pread(self._packed.fileno(), int(length), self._position)
        self._position += len(packed)
        try:
            piece = _decoder.decode(packed)
        except msgspec.DecodeError:  # the disk was full
            return []
        self.end = piece.end
        return [EventBatch(batch.others, [array("d", column) for column in batch.steps]) for batch in piece.batches]

    def close(self) -> None:
        """End the process, if it has not ended by itself."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._packed.close()


def write_pieces(log: Path, packed: BinaryIO) -> None:
    """Write everything that the log holds now."""
    tail, encoder = LogTail(log), msgspec.msgpack.Encoder()
    while not tail.at_end():
        events = list(chain.from_iterable(tail.read() for _ in range(CHUNKS)))
        batches = [_PackedBatch(each.others, [column.tobytes() for column in each.steps]) for each in batched(events)]
        print(packed.write(encoder.encode(_Piece(tail.end_of_line, batches))), flush=True)


if __name__ == "__main__":
    with open(int(sys.argv[2]), "wb", buffering=0) as file:
        write_pieces(Path(sys.argv[1]), file)
