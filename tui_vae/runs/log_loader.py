"""A long log, read by a process of its own: whoever draws meanwhile keeps the interpreter to itself.

`python -m tui_vae.runs.log_loader LOG FILE` writes what the log holds, packed, to the open file of that number, in
pieces, and the length of each to stdout. It never waits for whoever reads them.
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
from tui_vae.runs.history import LONG, Part, parted

CHUNKS = 8  # of a `LogTail`, in one piece


class _PackedPart(msgspec.Struct):
    others: list[AnyEvent]
    steps: list[bytes]


class _Piece(msgspec.Struct):
    """`end`: the offset in the log of what comes after it."""

    end: int
    parts: list[_PackedPart]


_decoder = msgspec.msgpack.Decoder(_Piece)


def read_ahead(log: Path) -> ReadAhead | None:
    """Begin to read a long log; None where it is short, or there is no process or temporary file to be had."""
    try:
        return ReadAhead(log) if log.stat().st_size > LONG else None
    except OSError:
        return None


class ReadAhead:
    """Begins to read the log at once.

    Raises:
        OSError: there is no process to be had, or no temporary file.
    """

    def __init__(self, log: Path) -> None:
        self.end = 0
        """How far the log has been read, in bytes: to the end of a line."""
        self._packed = tempfile.TemporaryFile()  # noqa: SIM115  # see `close`
        self._at = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_vae.runs.log_loader", str(log), str(self._packed.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=(self._packed.fileno(),),
        )  # fmt: skip

    def next_parts(self) -> list[Part]:
        """What comes next in the log; an empty list after all there was, or when the process has died."""
        assert self._process.stdout is not None
        length = self._process.stdout.readline()
        if not length:
            return []
        packed = os.pread(self._packed.fileno(), int(length), self._at)
        self._at += len(packed)
        try:
            piece = _decoder.decode(packed)
        except msgspec.DecodeError:  # the disk was full
            return []
        self.end = piece.end
        return [Part(part.others, [array("d", column) for column in part.steps]) for part in piece.parts]

    def close(self) -> None:
        """End the process, if it has not ended by itself."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._packed.close()


def write_pieces(log: Path, packed: BinaryIO) -> None:
    """What the log holds now."""
    tail, encoder = LogTail(log), msgspec.msgpack.Encoder()
    while not tail.at_end():
        events = list(chain.from_iterable(tail.read() for _ in range(CHUNKS)))
        parts = [_PackedPart(part.others, [column.tobytes() for column in part.steps]) for part in parted(events)]
        print(packed.write(encoder.encode(_Piece(tail.end_of_line, parts))), flush=True)


if __name__ == "__main__":
    with open(int(sys.argv[2]), "wb", buffering=0) as file:
        write_pieces(Path(sys.argv[1]), file)
