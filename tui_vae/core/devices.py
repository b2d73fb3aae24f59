"""The choice of device, thread count and precision, made once at a run's start."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from tui_vae.core.core_limits import OPENMP, openmp_threads, usable_cores
from tui_vae.errors import UserError

BUSY_SHARE = 0.25
"""The share of a core that other processes may use while the core still counts as free."""

MAX_THREADS = 8
"""Threads beyond which small layers gain nothing."""


def choose_device(wanted: str) -> torch.device:
    """The device called `wanted`; for `auto` the CUDA device with the most free memory, else MPS, else the CPU.

    Raises:
        UserError: this machine lacks the device.
    """
    cuda_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        if cuda_devices:
            most_free = max(range(cuda_devices), key=_free_memory) if cuda_devices > 1 else 0
            return torch.device("cuda", most_free)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(wanted)
    hint = "take --device auto, or --device cpu"
    if device.type == "cuda":
        if not cuda_devices:
            why = "PyTorch sees no CUDA device" if torch.version.cuda else "this PyTorch was built without CUDA"
            raise UserError(f"there is no device {wanted!r}: {why}", hint)
        index = device.index if device.index is not None else choose_device("auto").index
        if index >= cuda_devices:
            raise UserError(f"there is no device {wanted!r}", f"the last CUDA device here is cuda:{cuda_devices - 1}")
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("there is no device 'mps': it needs an Apple GPU", hint)
    return device


def _free_memory(index: int) -> int:
    """Free bytes of a CUDA device, from the driver's management library (NVML) where it is installed.

    CUDA itself opens a context on each device that it is asked about: half a gigabyte of somebody else's memory each.
    """
    try:
        return torch.cuda.get_device_properties(index).total_memory - torch.cuda.device_memory_used(index)
    except Exception:  # the library is optional, and its own errors are of no known type
        return torch.cuda.mem_get_info(index)[0]


def device_name(device: torch.device) -> str:
    """The hardware's name, such as `NVIDIA H200` or `AMD EPYC`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Cores:
    """Which of the usable cores a run may take.

    leave_one: whether one is left to the app. spare: how many no other process keeps busy.
    """

    leave_one: bool = False
    spare: float = math.inf


ALL_CORES = Cores()


def choose_threads(wanted: int | None, cores: Cores = ALL_CORES) -> int:
    """CPU threads for the matrix products: `wanted`, else one for each core or for all but one, at most `MAX_THREADS`.

    `OMP_NUM_THREADS` limits what is chosen, as it does for other programs. Where other processes keep cores busy there
    are fewer: a thread without a core of its own keeps all other threads waiting, dozens of times a step. With one of
    two cores busy, one thread is 2 to 6 times as fast as two (measured).
    """
    most = max(1, min(MAX_THREADS, usable_cores().cores - cores.leave_one, openmp_threads() or MAX_THREADS))
    return wanted or (most if cores.spare >= most else max(1, math.ceil(cores.spare - BUSY_SHARE)))


def explain_threads() -> str:
    """How many CPU threads a run gets by default, and what decides that."""
    threads, limit = choose_threads(None), usable_cores()
    if threads == limit.cores:
        why = limit.reason
    else:
        why = OPENMP if threads == openmp_threads() else f"more do not help; {limit.cores} usable cores"
    return f"CPU threads: {threads} ({why})"


def choose_precision(wanted: str, device: torch.device) -> str:
    """The precision of matrix products; `auto` gives bfloat16 where the hardware has units for it, else float32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    return "bfloat16" if device.type == "cpu" and _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
