"""A small checkpoint, and others of which only the checksum is right."""

from __future__ import annotations

import json
import zlib
from typing import Any

import safetensors.torch
import torch

from tui_vae.config import make_config
from tui_vae.runs.checkpoint_file import Progress

PROGRESS = Progress(
    config=make_config({"epochs": 3}).to_dict(), segments=[2, 1], beta=1.5, step=41, evaluated=2, best_loss=-1.25,
    epoch_means=[1.0, 2.0, 3.0, 4.0, 0.5], diagnosis={"streaks": {"overfitting": 2}, "beta": 1.0}, run_id="0f",
)  # fmt: skip
TENSORS = {"model.a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "noise": torch.arange(5, dtype=torch.uint8)}


def metadata() -> dict[str, Any]:
    """What a whole checkpoint says of itself, without the checksum."""
    return {"format": 1, **{name: getattr(PROGRESS, name) for name in Progress.__dataclass_fields__}}


def with_checksum(facts: dict[str, Any]) -> bytes:
    """A checkpoint whose checksum is right, whatever its metadata say."""
    value = zlib.crc32(json.dumps(facts).encode())
    for name, tensor in sorted(TENSORS.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().tobytes(), value)
    return safetensors.torch.save(TENSORS, {"tui-vae": json.dumps({**facts, "crc32": value})})
