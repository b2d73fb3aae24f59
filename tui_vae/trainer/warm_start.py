"""What a trainer does before it knows its run: import PyTorch, read the usual images, rehearse a step, and wait."""

from __future__ import annotations

import importlib
import os
import threading
from contextlib import suppress

from tui_vae.runs.warm_trainer import wait_for_run
from tui_vae.trainer.spare_cores import SpareCores

MODULES = (
    "torch", "tui_vae.trainer.process", "tui_vae.trainer.training", "tui_vae.trainer.several.placement", "PIL.Image",
    "numpy.random", "tomllib",
)  # fmt: skip
"""What a run needs. PyTorch comes first, and whole, before anything imports a part of it."""

MEASURE_FOR = 2.0
"""Seconds for which each measurement of the spare cores goes on: the newest that is older than that counts."""


class WarmStart:
    """The work of a thread, while the main thread waits for a run. It touches no GPU."""

    def __init__(self) -> None:
        self._spare = self._newer = SpareCores()
        self._thread = threading.Thread(target=self._prepare, name="warm start", daemon=True)
        self._thread.start()

    def wait_for_run(self) -> list[str]:
        """Wait at standard input for the run, become what a trainer of it is, and return the trainer's arguments.

        The process ends here where the app ends without one.
        """
        os.chdir("/")  # no directory is kept busy
        run = wait_for_run(MEASURE_FOR, self._measure)
        if run is None:
            os._exit(0)  # at once, also in the middle of an import
        arguments, log, here = run
        os.fchdir(here)
        os.dup2(log, 1)
        os.dup2(log, 2)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for descriptor in (log, here, nothing):
            os.close(descriptor)
        return arguments

    def _measure(self) -> None:
        self._spare, self._newer = self._newer, SpareCores()

    def finish(self) -> SpareCores:
        """Wait until everything is imported. Return a measurement of the spare cores that began before."""
        self._thread.join()
        return self._spare

    @staticmethod
    def _prepare() -> None:
        with suppress(Exception):  # the trainer itself will meet the same, and can say it
            for name in MODULES:
                importlib.import_module(name)
            from PIL import Image

            from tui_vae.core.data.sources import preload_usual

            Image.preinit()  # imports the usual formats, as the first picture would
            preload_usual()
            from tui_vae.trainer.rehearsal import rehearse

            rehearse()
