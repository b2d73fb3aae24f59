"""The format of a checkpoint: a safetensors file whose metadata says how far the run has come, with a checksum of all.

Written and checked here without PyTorch, so that a command can check gigabytes of them at once; the tensors themselves
are read and written by the trainer.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import msgspec

from tui_vae.errors import UserError
from tui_vae.runs.events import LARGEST, Count
from tui_vae.runs.safe_files import open_to_read

FORMAT = 1
"""The version in the metadata. A reader refuses others; fields with a default may be added without a new one."""

KEY = "tui-vae"
"""The one key of the metadata. Its value is a JSON object in a string: safetensors changes the order of several."""

MOST_HEADER = 100_000_000
"""Bytes of a safetensors header, as that format limits it."""

MOST_DIMENSIONS = 64
"""Of a tensor: as many as PyTorch and numpy allow."""

CHUNK = 1 << 20
"""Bytes of a file that are read at once: a checkpoint may be larger than the memory that is free."""

MOST_SHOWN = 80
"""Characters of a tensor's name that an error shows."""

DTYPES = {
    "F64": ("torch.float64", 8), "F32": ("torch.float32", 4),
    "F16": ("torch.float16", 2), "BF16": ("torch.bfloat16", 2),
    "I64": ("torch.int64", 8), "I32": ("torch.int32", 4), "I16": ("torch.int16", 2), "I8": ("torch.int8", 1),
    "U64": ("torch.uint64", 8), "U32": ("torch.uint32", 4), "U16": ("torch.uint16", 2), "U8": ("torch.uint8", 1),
    "BOOL": ("torch.bool", 1),
}  # fmt: skip
"""Types of tensors by their names in a safetensors header: the name that the checksum covers, and bytes a number."""

NAMES = {name: (code, width) for code, (name, width) in DTYPES.items()}
"""The same by PyTorch's names."""

HEADER_MULTIPLE = 8
"""The length of a header is a multiple of this: the tensors behind it may be numbers of eight bytes."""

Segments = Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=LARGEST)]], msgspec.Meta(min_length=1)]
EpochMeans = Annotated[list[float], msgspec.Meta(max_length=5)]


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another kind of model."""


def of_another_run(path: Path) -> CheckpointError:
    """The error for a checkpoint of which the log beside it has never spoken."""
    return CheckpointError(f"{path} is of another run than the log beside it", "put the run's own files back")


class Damaged(Exception):
    """Says what is wrong with the bytes of a checkpoint: the rest of a sentence that begins with its path."""


@dataclass
class Progress:
    """How far a run has come, and the configuration with which it began.

    step: gradient steps done. evaluated: epochs whose end was evaluated and logged.
    segments: epochs of each stretch of training; every stretch has a schedule of its own.
    lr_scale: factor on the schedule, from live changes. beta: its present value. muon_scale: factor on Muon's learning
        rate over Adam's, from live changes.
    best_loss, since_best: the lowest value of the test figure that best goes by (the loss, unless `best-by` says
        otherwise), and how many epochs were done since it.
    epoch_seconds, epoch_means: of the part of the epoch under way that is done.
    train_images: how many there were. data: the fingerprint of the images; empty in older checkpoints.
    log_size: bytes of the event log when this was written.
    diagnosis: what `Diagnosis` remembers of the epochs. None in older checkpoints, with a log_size of 0.
    run_id: drawn when the run began, and in its log too. Empty in older checkpoints.
    """

    config: dict[str, Any]
    segments: Segments
    beta: float
    step: Count = 0
    evaluated: Count = 0
    lr_scale: float = 1.0
    muon_scale: float = 1.0
    best_loss: float | None = None
    since_best: Count = 0
    epoch_seconds: float = 0.0
    epoch_means: EpochMeans = field(default_factory=list)
    train_images: Count = 0
    log_size: Count = 0
    diagnosis: dict[str, Any] | None = None
    run_id: str = ""
    data: str = ""

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 1; after the last, the last."""
        return min(self.evaluated + 1, self.planned_epochs)

    @property
    def planned_epochs(self) -> int:
        return sum(self.segments)

    @property
    def finished(self) -> bool:
        """Whether every epoch that is planned is done."""
        return self.evaluated >= self.planned_epochs

    def plan_more(self, epochs: int) -> None:
        """Plan another stretch of training, which is given as much patience as the first."""
        self.segments.append(epochs)
        self.since_best = 0

    def plan_no_more(self, has_schedule: bool) -> None:
        """Let the epochs that are done be all that are planned.

        has_schedule: whether the learning rate follows one, which ends with what scaled it.
        """
        self.lr_scale = 1.0 if has_schedule else self.lr_scale
        while (left := self.planned_epochs - self.evaluated) > 0:
            last = self.segments.pop()
            if last > left:
                self.segments.append(last - left)


class _Place(msgspec.Struct):
    """What the header says of a tensor. `data_offsets`: its first byte and the one behind its last."""

    dtype: str
    shape: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MOST_DIMENSIONS)]
    data_offsets: tuple[Count, Count]


class TensorBytes(NamedTuple):
    """A tensor as the checksum covers it. `dtype`: as PyTorch writes it; `pieces`: its bytes, in one or several.

    Where a file is written of it, `pieces` can be gone through twice.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Iterable[bytes | memoryview]


def file_pieces(progress: Progress, tensors: Sequence[TensorBytes]) -> Iterator[bytes | memoryview]:
    """The bytes of the file that holds these tensors, with a checksum; none of the tensors' is copied.

    The format is that of safetensors (https://github.com/huggingface/safetensors#format): the length of the header, the
    header, the tensors. Wide types come first, so that each tensor begins at a multiple of its width.
    """
    facts = {"format": FORMAT, **asdict(progress)}
    facts["crc32"] = _checksum(facts, sorted(tensors, key=lambda tensor: tensor.name))
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(facts)}}
    ordered = sorted(tensors, key=lambda tensor: (-NAMES[tensor.dtype][1], tensor.name))
    end = 0
    for name, dtype, shape, _ in ordered:
        code, width = NAMES[dtype]
        first, end = end, end + math.prod(shape) * width
        header[name] = {"dtype": code, "shape": shape, "data_offsets": (first, end)}
    yield header_bytes(header)
    for tensor in ordered:
        yield from tensor.pieces


def header_bytes(header: dict[str, Any]) -> bytes:
    """The beginning of a safetensors file, up to its tensors: the length of the header, and the header."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % HEADER_MULTIPLE)
    return len(text).to_bytes(8, "little") + text


def read_facts(path: Path) -> dict[str, Any]:
    """What the metadata of a checkpoint says, unchecked.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of tui-vae.
    """
    with _opened(path) as file:
        return _facts(_header(file)[0])


def verify_checkpoint(path: Path) -> Progress:
    """Check a checkpoint to the last bit, and return how far the run had come.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of tui-vae.
    """
    with _opened(path) as file:
        return verify(file)


def verify(file: BinaryIO) -> Progress:
    """Check the bytes of a checkpoint to the last bit, and return how far the run had come.

    Raises:
        Damaged: they are not those of a whole checkpoint. OSError: they cannot be read.
    """
    header, start = _header(file)
    facts = _facts(header)
    try:
        version = facts["format"]
        if version != FORMAT:
            raise Damaged(f"has format {version}, this tui-vae reads {FORMAT}")
        expected = int(facts.pop("crc32"))
        progress = Progress(**{name: value for name, value in facts.items() if name != "format"})
        msgspec.convert(asdict(progress), Progress)  # each field has the type that it should have
        found = _checksum(facts, _tensors(file, header, start))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise Damaged("is not a checkpoint of tui-vae") from None
    if found != expected:
        raise Damaged(f"is damaged: its checksum is {found:08x}, not {expected:08x}")
    return progress


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A checkpoint to read; what is wrong with it is a `CheckpointError`."""
    try:
        with open_to_read(path) as file:
            yield file
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except Damaged as error:
        raise CheckpointError(f"{path} {error}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors' bytes begin.

    Raises:
        Damaged: it is cut, or no JSON object.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > MOST_HEADER:
        raise Damaged(f"is damaged: its header would have {length:,} bytes")
    text = file.read(length)
    if len(text) < length or not text:
        raise Damaged("is damaged: its header is cut off")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise Damaged("is damaged: its header is not JSON") from None
    if not isinstance(header, dict):
        raise Damaged("is damaged: its header is no JSON object")
    return header, 8 + length


def _facts(header: dict[str, Any]) -> dict[str, Any]:
    try:
        facts = json.loads(header["__metadata__"][KEY])
    except (KeyError, TypeError, ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise Damaged("is not a checkpoint of tui-vae")
    return facts


def _tensors(file: BinaryIO, header: dict[str, Any], start: int) -> Iterator[TensorBytes]:
    """The tensors of a file, in the order of their names; `start`: where their bytes begin.

    Raises:
        Damaged: a tensor of the header has no bytes of its own, or bytes are left over.
    """
    size = file.seek(0, 2) - start
    places = []
    for name in sorted(header.keys() - {"__metadata__"}):
        try:
            place = msgspec.convert(header[name], _Place)
            dtype, width = DTYPES[place.dtype]
        except (KeyError, ValueError):
            raise Damaged(f"is damaged: its header is wrong about {name[:MOST_SHOWN]!r}") from None
        first, end = place.data_offsets
        if not first <= end <= size or math.prod(place.shape) * width != end - first:
            raise Damaged(f"is damaged: {name[:MOST_SHOWN]!r} is not where its header says")
        places.append((name, dtype, place.shape, first, end))
    if sum(end - first for *_, first, end in places) != size:
        raise Damaged("is damaged: it is not as long as its header says")
    for name, dtype, shape, first, end in places:
        yield TensorBytes(name, dtype, shape, _pieces(file, start + first, start + end))


def _pieces(file: BinaryIO, first: int, end: int) -> Iterator[bytes]:
    file.seek(first)
    while first < end:
        piece = file.read(min(CHUNK, end - first))
        if not piece:
            raise Damaged("is damaged: it is cut off")
        first += len(piece)
        yield piece


def _checksum(facts: dict[str, Any], tensors: Iterable[TensorBytes]) -> int:
    """CRC-32 of the metadata, then of each tensor's name, type, shape and bytes, in the order of the names."""
    value = zlib.crc32(json.dumps(facts).encode())
    for name, dtype, shape, pieces in tensors:
        value = zlib.crc32(f"{name} {dtype} {shape}".encode(), value)
        for piece in pieces:
            value = zlib.crc32(piece, value)
    return value
