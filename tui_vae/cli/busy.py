"""How much of this machine other processes use while a benchmark runs: rates that were measured beside them are low."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from tui_vae.affinity import usable_core_numbers
from tui_vae.runs.device_load import Sampler

BUSY_CORES = 0.25
"""Cores that others use from which a machine counts as busy: an idle system's own services take less."""

BUSY_GPU = 10.0
"""Percent of the time that a GPU works for others from which it counts as busy."""

GPU_SECONDS = 1.5
"""Seconds after which a GPU's load is others' alone: the driver tells its mean over the last second at most."""


class OtherWork:
    """Counts the processor time of processes that are not ours, on the cores that this process may use."""

    def __init__(self, ours: Sequence[int]) -> None:
        """`ours`: the ids of our processes, which are counted with all that they start."""
        self._ours = ours
        self._began = time.monotonic()
        self._busy, self._own = busy_seconds(), self._own_seconds()

    def cores(self) -> float:
        """How many cores others have kept busy since the start, on average."""
        elapsed = max(1e-3, time.monotonic() - self._began)
        return max(0.0, (busy_seconds() - self._busy - (self._own_seconds() - self._own)) / elapsed)

    def _own_seconds(self) -> float:
        total = 0.0
        for pid in self._ours:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                for each in (process, *process.children(recursive=True)):
                    with suppress(psutil.Error):
                        times = each.cpu_times()
                        total += times.user + times.system
        return total


def busy_seconds() -> float:
    """Seconds for which the cores that this process may use have worked since the system's start, all together."""
    total = 0.0
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        if number in usable_core_numbers():
            total += sum(times) - times.idle
            total -= sum(getattr(times, name, 0.0) for name in ("iowait", "guest", "guest_nice"))  # guests' twice
    return total


def others_on_gpu(device: str, pid: int, sleep: Callable[[float], None] = time.sleep) -> float | None:
    """Percent of the time that others keep a GPU busy, while ours, `pid` among them, rest; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    sleep(GPU_SECONDS)
    return Sampler(device, pid).sample().percent


def busy_words(cores: float, gpu: float | None) -> str:
    """What is to be said of a benchmark beside other work; empty where there was little."""
    count = len(usable_core_numbers())
    busy = [f"{min(cores, count):.1f} of {count} cores"] if cores >= BUSY_CORES else []
    busy += [f"the GPU for {gpu:.0f} % of the time"] if gpu is not None and gpu >= BUSY_GPU else []
    if not busy:
        return ""
    return f"this machine is busy: others used {' and '.join(busy)}, so every rate is too low; trust the ratios"
