"""Where the runs of a sweep train, and how many at once: a run a core, or on each GPU as many as gain."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tui_vae.config import RunConfig, is_named
from tui_vae.core.core_limits import openmp_threads, usable_cores
from tui_vae.main_memory import free_main_memory
from tui_vae.runs.device_load import Sampler, cuda_devices, free_memory

RUN_MEMORY = 2 << 30
"""Bytes that must be free on a GPU for another run: PyTorch's context and libraries take half of it and more, the
default network, its optimizer and 70,000 images of 28×28 a tenth."""

CPU_RUN_MEMORY = 1 << 30
"""Bytes of main memory that a run on a CPU is taken to need: the default network's process has 0.7 GB on FashionMNIST.
Data in the user's own files may need more."""

DATA_FACTOR = 3
"""Bytes in memory for one of a data file, which may be compressed: FashionMNIST's images have 1.8."""

BUSY = 85.0
"""Percent of the time in which a GPU computes. From here on another run gains nothing: processes take turns on it."""

LOOK_EVERY, SETTLED = 1.0, 5.0
"""Seconds between two looks at a GPU's load; and that all runs there must have trained before it counts."""

LOOKS = 3
"""Looks in a row at which a GPU must have room: evaluation and checkpoints leave it idle for moments."""


@dataclass(frozen=True)
class Place:
    """Room for one run at a time.

    `device`: the one it is on; None: whichever the trainer chooses. `threads`: of a new run that asks for none; None:
    as many as the trainer chooses.
    """

    device: str | None = None
    threads: int | None = None


class Settled(Protocol):
    """What decides whether the load of a GPU counts: since when a run trains in its place."""

    @property
    def place(self) -> Place | None: ...

    @property
    def training_since(self) -> float | None: ...


def cores_to_use() -> int:
    """Cores for all runs together: affinity, quotas of control groups, and `OMP_NUM_THREADS` as for one run."""
    cores = usable_cores().cores
    return max(1, min(cores, openmp_threads() or cores))


@dataclass
class Places:
    """All places of a sweep. `may_grow`: whether GPUs may get another one; `needed`: bytes that must be free for it."""

    free: list[Place]
    may_grow: bool = False
    needed: int = RUN_MEMORY
    taken: list[Place] = field(default_factory=list)
    _looked_at: float = 0.0
    _roomy: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.free) + len(self.taken)

    @property
    def threads(self) -> int | None:
        """Of each new run that asks for none; None: as many as its trainer chooses."""
        return next((place.threads for place in (*self.free, *self.taken)), None)

    def take(self, device: str) -> Place | None:
        """A free place for a run on this device (`auto`: any); None where it has to wait for one."""
        every = {place.device for place in (*self.free, *self.taken)}
        suits = [place for place in self.free if device not in every or place.device == device]
        if not suits:
            return None
        load = [each.device for each in self.taken]
        place = min(suits, key=lambda each: load.count(each.device))  # spread over the devices
        self.free.remove(place)
        self.taken.append(place)
        return place

    def give_back(self, place: Place | None) -> None:
        if place is not None:
            self.taken.remove(place)
            self.free.append(place)

    def grow(self, going: Sequence[Settled], load: Callable[[str], bool] | None = None) -> str | None:
        """Add a place on a GPU that has time and memory for another run, and say which GPU; mostly there is none.

        `load`: whether a device has room, for tests; else the driver is asked.
        """
        if not self.may_grow or self.free or self.count >= cores_to_use() or time.time() < self._looked_at + LOOK_EVERY:
            return None
        self._looked_at = time.time()
        for device in sorted({each.device for each in self.taken if each.device}):
            here = [run for run in going if run.place is not None and run.place.device == device]
            settled = all(run.training_since and run.training_since < time.time() - SETTLED for run in here)
            roomy = settled and bool(here) and (load(device) if load else has_room(device, self.needed))
            self._roomy[device] = self._roomy.get(device, 0) + 1 if roomy else 0
            if self._roomy[device] >= LOOKS:
                self._roomy[device] = 0
                self.free.append(Place(device))
                return device
        return None


def has_room(device: str, needed: int) -> bool:
    """Whether another run on a GPU, which takes `needed` bytes, fits into its memory and finds it idle at times; False
    where that is unknown."""
    memory, busy = free_memory(device), Sampler(device, os.getpid()).sample().percent
    return memory is not None and memory >= needed and busy is not None and busy < BUSY


def data_memory(config: RunConfig) -> int:
    """Bytes that a run's data take in memory, about; 0 for data sets with a name, which are small."""
    place = Path(config.data_dir or config.dataset)
    if config.data_dir is None and is_named(config.dataset):
        return 0
    try:
        files = [place] if place.is_file() else [each for each in place.iterdir() if each.is_file()]
        return DATA_FACTOR * sum(each.stat().st_size for each in files)
    except OSError:
        return 0


def places_for(combinations: Sequence[RunConfig], jobs: int | None) -> Places:
    """The places of a sweep. `jobs`: how many at once, None for as many as gain.

    On a CPU that is a run a core, with one thread each: a second thread gives one small network half of a core's worth
    at most, another run all of it; and only as many as fit into memory. On GPUs one each to begin with.
    """
    devices = list(dict.fromkeys(each.device for each in combinations))
    gpus = [f"cuda:{index}" for index in range(cuda_devices())] if devices == ["auto"] else []
    if jobs is not None:
        threads = max(1, cores_to_use() // jobs) if jobs > 1 and not gpus else None
        several: list[str | None] = [*gpus] if len(gpus) > 1 else [None]
        return Places([Place(several[at % len(several)], threads) for at in range(jobs)])
    of_data = max((data_memory(each) for each in combinations), default=0)
    if gpus:
        return Places([Place(gpu) for gpu in gpus], may_grow=True, needed=RUN_MEMORY + of_data)
    most_threads = max((each.threads or 1 for each in combinations), default=1)
    fitting = free_main_memory() // (CPU_RUN_MEMORY + of_data)
    most = min(cores_to_use() // most_threads, fitting, len(combinations))
    on_cpu = max(1, most)
    if devices == ["auto"] and sys.platform != "darwin":
        return Places([Place(threads=1)] * on_cpu)
    # Devices that were asked for: each run waits for a place on its own. An Apple GPU takes one run.
    named = [Place(device) for device in devices if device != "cpu"]
    named += [Place("cpu", threads=1)] * (on_cpu if "cpu" in devices else 0)
    on_gpu = any(device.startswith("cuda:") for device in devices)
    return Places(named, may_grow=on_gpu, needed=RUN_MEMORY + of_data)
