"""Checkpoints: safetensors files with a checksum, replaced atomically, never pickle.

`last.safetensors` holds all that resuming needs, `best.safetensors` the weights alone.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tui_vae.errors import UserError
from tui_vae.runs.directory import BEST, LAST, RunDirectory
from tui_vae.runs.files import write_atomic
from tui_vae.runs.safe_files import open_plain

FORMAT = 1
"""The version in the metadata. A reader refuses others; fields with a default may be added without a new one."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another kind of model."""


@dataclass
class Progress:
    """How far a run has come, and the configuration with which it began.

    step: gradient steps done. evaluated: epochs whose end was evaluated and logged.
    segments: epochs of each stretch of training; every stretch has a schedule of its own.
    lr_scale, beta: the factor by which live changes scale the schedule, and the β that they left.
    epoch_seconds, epoch_means: of the part of the epoch under way that is done.
    train_images: how many there were. log_size: bytes of the event log when this was written.
    diagnosis: what `Diagnosis` remembers of the epochs. None in older checkpoints, with a log_size of 0.
    run_id: drawn when the run began, and in its log too. Empty in older checkpoints.
    """

    config: dict[str, Any]
    segments: list[int]
    beta: float
    step: int = 0
    evaluated: int = 0
    lr_scale: float = 1.0
    best_loss: float | None = None
    epoch_seconds: float = 0.0
    epoch_means: list[float] = field(default_factory=list)
    train_images: int = 0
    log_size: int = 0
    diagnosis: dict[str, Any] | None = None
    run_id: str = ""

    @property
    def epoch(self) -> int:
        """The epoch under way, counted from 1; after the last, the last."""
        return min(self.evaluated + 1, self.planned_epochs)

    @property
    def planned_epochs(self) -> int:
        return sum(self.segments)


def checkpoint_path(directory: RunDirectory, which: str | None = None) -> Path:
    """The run's checkpoint called `which`, `last` or `best`; by default the newest there is: last, else best.

    Raises:
        CheckpointError: the run has none.
    """
    files = directory.files
    candidates = [files.path / f"{which}.safetensors"] if which else [files.last, files.best]
    for path in candidates:
        if path.exists():
            return path
    wanted = f"{which} checkpoint" if which else "checkpoint"
    raise CheckpointError(f"run {directory.name!r} has no {wanted} yet", f"train it: tui-vae resume {directory.name}")


def save_checkpoint(path: Path, progress: Progress, tensors: dict[str, Tensor]) -> None:
    """Write `tensors` and `progress` into one file, atomically.

    Raises:
        OSError: the disk is full or not writable; the old checkpoint is then still there.
    """
    # Copies, because safetensors refuses tensors that share memory.
    host = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    facts = {"format": FORMAT, **asdict(progress)}
    facts["crc32"] = _checksum(facts, host)
    write_atomic(path, safetensors.torch.save(host, metadata={"tui-vae": json.dumps(facts)}))


def load_checkpoint(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """Read a checkpoint and verify it to the last bit.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of tui-vae.
    """
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", _other_checkpoint(path)) from None
    # Read once: safetensors' own safe_open opens the path a second time for the tensors, by which time a training run
    # may have replaced the file, so that header and tensors are of two checkpoints.
    try:
        tensors = safetensors.torch.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", _other_checkpoint(path)) from None
    try:
        facts = json.loads(metadata["tui-vae"])
        version = facts["format"]
        if version != FORMAT:
            raise CheckpointError(f"{path} has format {version}, this tui-vae reads {FORMAT}")
        expected = int(facts.pop("crc32"))
        found = _checksum(facts, tensors)
        del facts["format"]
        progress = Progress(**facts)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path} is not a checkpoint of tui-vae", _other_checkpoint(path)) from None
    if found != expected:
        raise CheckpointError(
            f"{path} is damaged: its checksum is {found:08x}, not {expected:08x}", _other_checkpoint(path)
        )
    return progress, tensors


def _other_checkpoint(path: Path) -> str:
    """A hint at the run's other checkpoint, where there is one."""
    other = path.with_name(BEST if path.name == LAST else LAST)
    return f"{other.name} beside it may be whole (--checkpoint {other.stem})" if other.exists() else ""


def _checksum(facts: dict[str, Any], tensors: dict[str, Tensor]) -> int:
    """CRC-32 of the metadata, then of each tensor's name, type, shape and bytes, in the order of the names."""
    value = zlib.crc32(json.dumps(facts).encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(), value)
    return value
