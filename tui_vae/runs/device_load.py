"""How busy a run's device is. Values are unknown where a library or a driver is missing."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Load:
    """Of a GPU: its load in percent, its used memory in bytes, its temperature in °C. None: unknown.

    Of a CPU: the whole machine's load in percent, and the memory of the run's processes in bytes.
    """

    percent: float | None = None
    memory: int | None = None
    temperature: float | None = None


NOTHING = Load()

CPU_SECONDS = 0.2
"""Seconds over which a CPU's load is measured."""


class Sampler:
    """Measures the load of one process's device. It takes milliseconds, the first time more: call it in a thread."""

    def __init__(self, device: str, pid: int, several: bool = False) -> None:
        """`several`: whether other processes, which it has started, train with it. To find them takes a look at every
        process of the machine: 10 µs for each."""
        self.device, self.pid, self.several = device, pid, several
        self._gpu: _Gpu | None = None
        self._tried = False

    def sample(self) -> Load:
        """The present load."""
        if not self.device.startswith("cuda"):
            return _cpu(self.pid, self.several)
        if not self._tried:
            self._tried = True
            self._gpu = _Gpu.of(self.device, self.pid)
        return self._gpu.sample() if self._gpu is not None else NOTHING


def _cpu(pid: int, several: bool) -> Load:
    try:
        import psutil
    except ImportError:
        return NOTHING
    memory = None
    with contextlib.suppress(psutil.Error):
        trainer = psutil.Process(pid)
        memory = trainer.memory_info().rss
        for each in trainer.children(recursive=True) if several else ():
            with contextlib.suppress(psutil.Error):
                memory += each.memory_info().rss
    return Load(psutil.cpu_percent(interval=CPU_SECONDS), memory)


class _Gpu:
    """One NVIDIA GPU, asked through the driver's management library, NVML."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    @classmethod
    def of(cls, device: str, pid: int) -> _Gpu | None:
        """The GPU that the process `pid` calls `device`, such as `cuda:0`; None where that cannot be told."""
        try:
            nvml: Any = importlib.import_module("pynvml")
        except ImportError:
            return None
        try:
            nvml.nvmlInit()
            chosen = physical(device, _visible_to(pid))
            if isinstance(chosen, int):
                return cls(nvml, nvml.nvmlDeviceGetHandleByIndex(chosen))
            return cls(nvml, nvml.nvmlDeviceGetHandleByUUID(chosen)) if chosen else None
        except (nvml.NVMLError, OSError):
            return None

    def sample(self) -> Load:
        nvml, handle = self._nvml, self._handle
        found: list[Any] = [None, None, None]
        questions: tuple[Callable[[], float], ...] = (
            lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
            lambda: int(nvml.nvmlDeviceGetMemoryInfo(handle).used),
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        )
        for at, question in enumerate(questions):
            with contextlib.suppress(nvml.NVMLError):  # a part of a divided GPU (MIG) reports its memory only
                found[at] = question()
        return Load(*found)

    def free_memory(self) -> int | None:
        with contextlib.suppress(self._nvml.NVMLError):
            return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).free)
        return None


def free_memory(device: str) -> int | None:
    """Bytes of a GPU that nobody uses, by this process's name of it, such as `cuda:0`; None: unknown."""
    gpu = _Gpu.of(device, os.getpid())
    return gpu.free_memory() if gpu is not None else None


def cuda_devices() -> int:
    """How many CUDA devices a process started from here sees. The driver is asked: PyTorch takes seconds to import."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return 0
    try:
        nvml.nvmlInit()
        there = int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError:
        return 0
    if visible is None:
        return there
    entries = [entry.strip() for entry in visible.split(",")]
    # CUDA ignores an entry that names no device, and all that follow it.
    good = itertools.takewhile(lambda one: one not in ("", "-1") and not (one.isdigit() and int(one) >= there), entries)
    return len(list(good)) if there else 0


def physical(device: str, visible: str | None) -> int | str | None:
    """The driver's index or UUID of `device`, which `CUDA_VISIBLE_DEVICES` may renumber; None: it cannot be told."""
    index = int(device.partition(":")[2] or 0)
    if visible is None:
        return index
    entries = [entry.strip() for entry in visible.split(",")]
    if index >= len(entries) or not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", entries[index]):
        return None
    return int(entries[index]) if entries[index].isdigit() else entries[index]


def _visible_to(pid: int) -> str | None:
    """`CUDA_VISIBLE_DEVICES` of the process `pid`, which may differ from that of this process."""
    with contextlib.suppress(ImportError):
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            visible: str | None = psutil.Process(pid).environ().get("CUDA_VISIBLE_DEVICES")
            return visible
    return os.environ.get("CUDA_VISIBLE_DEVICES")
