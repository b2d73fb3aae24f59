"""The `gauge` events of a run's log: gradient norms, and how busy the machine is."""

from __future__ import annotations

import math
import os
import threading
import time

import psutil

from tui_vae.runs import events as ev
from tui_vae.runs.device_load import NOTHING, Load, Sampler
from tui_vae.trainer.learner import Learner

EVERY = 2.0
"""Seconds between two events: a day of them is 8 MB. The norms take less than a millisecond."""


class Gauges:
    """Writes an event now and then, from the thread that trains; a GPU is asked by a thread of its own.

    It only looks: what it measures changes nothing about the run, and where it cannot be measured it is left out.
    """

    def __init__(self, log: ev.EventLog, learner: Learner) -> None:
        self._log = log
        self._learner = learner
        self._due_at = time.monotonic() + EVERY
        self._process = psutil.Process()
        psutil.cpu_percent()  # the first call only starts the clock
        self._gpu = _GpuWatch(str(learner.device)) if learner.device.type == "cuda" else None

    def write_if_due(self, step: int) -> None:
        """Write an event for the step that was just done, if it is time for one."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + EVERY
        encoder, decoder = self._learner.gradient_norms()
        gpu = self._gpu.newest if self._gpu else NOTHING
        cpu, memory = self._host()
        self._log.write(ev.GaugeEvent(
            step=step, encoder_gradient=_finite(encoder), decoder_gradient=_finite(decoder), cpu=cpu, memory=memory,
            gpu=gpu.percent, gpu_memory=None if gpu.memory is None else float(gpu.memory),
        ))  # fmt: skip

    def _host(self) -> tuple[float | None, float | None]:
        try:
            return psutil.cpu_percent(), float(self._process.memory_info().rss)
        except (psutil.Error, OSError):
            return None, None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class _GpuWatch:
    """Asks the driver again and again, for as long as the process lives: an answer may take a while."""

    def __init__(self, device: str) -> None:
        self.newest: Load = NOTHING
        self._sampler = Sampler(device, os.getpid())
        threading.Thread(target=self._watch, name="gauges", daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.newest = self._sampler.sample()
            time.sleep(EVERY)
