"""Checkpoints as tensors: safetensors files with a checksum, replaced atomically, never pickle.

`last.safetensors` holds all that resuming needs, `best.safetensors` the weights alone.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tui_vae.config import RunConfig
from tui_vae.errors import UserError, first_line
from tui_vae.runs import advice
from tui_vae.runs.checkpoint_file import (
    CheckpointError,
    Damaged,
    Progress,
    TensorBytes,
    file_pieces,
    header_bytes,
    verify,
)
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.files import write_atomic
from tui_vae.runs.go_back import not_kept
from tui_vae.runs.safe_files import open_to_read
from tui_vae.trainer.symptoms import DiagnosisState


def checkpoint_path(directory: RunDirectory, which: str | None = None) -> Path:
    """The run's checkpoint `last`, `best` or of a kept epoch; by default the newest there is: last, else best.

    Raises:
        CheckpointError: the run has none.
    """
    files = directory.files
    candidates = [files.checkpoint(which)] if which else [files.last, files.best]
    for path in candidates:
        if path.exists():
            return path
    if which and which.isdecimal():
        raise not_kept(directory, int(which))
    wanted = f"{which} checkpoint" if which else "checkpoint"
    train = advice.of_run("resume", directory.path)
    raise CheckpointError(f"run {directory.name!r} has no {wanted} yet", f"train it: {train}")


def save_checkpoint(path: Path, progress: Progress, tensors: dict[str, Tensor]) -> None:
    """Write `tensors`, of any names and shapes and on any device, and `progress` into one file, atomically.

    Raises:
        OSError: the disk is full or not writable; the old checkpoint is then still there.
    """
    # Not by safetensors.torch.save, which holds everything twice more, and refuses tensors that share memory.
    host = [_as_bytes(name, tensor.detach().to("cpu").contiguous()) for name, tensor in tensors.items()]
    write_atomic(path, file_pieces(progress, host))


def load_checkpoint(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """Read a checkpoint and verify it to the last bit. The tensors, on the CPU, are those that were saved, by name.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of tui-vae.
    """
    try:
        with open_to_read(path) as file:
            data = file.read()
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    # Read once: safetensors' own safe_open opens the path a second time for the tensors, by which time a training run
    # may have replaced the file, so that header and tensors are of two checkpoints.
    try:
        progress, tensors = verify(io.BytesIO(data)), safetensors.torch.load(data)
        msgspec.convert(progress.diagnosis or {}, DiagnosisState)
        return progress, tensors
    except msgspec.ValidationError:
        raise CheckpointError(f"{path} is not a checkpoint of tui-vae") from None
    except Damaged as error:
        raise CheckpointError(f"{path} {error}") from None
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def plain_file(tensors: dict[str, Tensor], facts: dict[str, str]) -> bytes:
    """A safetensors file of these tensors alone, with `facts` as its metadata, for any reader of that format.

    Equal tensors and facts make equal bytes: safetensors itself shuffles the metadata at each save.
    """
    data: bytes = safetensors.torch.save({name: each.detach().cpu().clone() for name, each in tensors.items()})
    start = 8 + int.from_bytes(data[:8], "little")
    header = header_bytes({"__metadata__": dict(sorted(facts.items())), **json.loads(data[8:start])})
    return header + data[start:]


def read_plain_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by their names, on the CPU.

    Raises:
        UserError: it is not there, or damaged.
    """
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is no whole safetensors file: {first_line(error)}") from None
    return tensors


def _as_bytes(name: str, tensor: Tensor) -> TensorBytes:
    """A contiguous tensor of any shape on the CPU; its bytes are shared, not copied."""
    data = tensor.reshape(-1).view(torch.uint8).numpy()
    return TensorBytes(name, str(tensor.dtype), tuple(tensor.shape), [data.data])


def misfit(path: Path, config: RunConfig) -> CheckpointError:
    """The error for a checkpoint of another network than its configuration's, whose code may be the user's own."""
    if ":" not in config.model:
        return CheckpointError(f"{path} does not fit the network of its configuration")
    hint = "put the class back as it was when the run was trained, or train a new run"
    return CheckpointError(f"{path} does not fit the class {config.model} as it is now", hint)
