"""Writes the preview images' reconstructions as training goes on; where that fails, training goes on all the same.

A thread of its own writes the files: each is synchronized with the disk, which may take longer than a GPU's epoch.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.previews import write_preview
from tui_vae.runs.write_errors import unwritable
from tui_vae.trainer.timers import WarningLimit


class PreviewWriter:
    """Writes the previews of one run and logs each."""

    def __init__(self, directory: RunDirectory, log: ev.EventLog) -> None:
        self._directory = directory
        self._log = log
        self._limit = WarningLimit()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="previews")
        self._under_way: tuple[int, Future[str]] | None = None

    def write(self, epoch: int, images: NDArray[np.uint8]) -> None:
        """Begin to write the reconstructions after `epoch`, `(N, height, width)` or `(N, height, width, 3)`."""
        self.finish()
        pixels, channels = [image.tobytes() for image in images], 1 if images.ndim == 3 else 3
        folder, width = self._directory.files.previews, images.shape[2]
        self._under_way = epoch, self._thread.submit(write_preview, folder, epoch, pixels, width, channels)

    def log_if_written(self) -> None:
        """Log the file under way, if it is written by now."""
        if self._under_way is not None and self._under_way[1].done():
            self.finish()

    def finish(self) -> None:
        """Wait for the file under way, if there is one, and log it; a failure is a warning in the log."""
        if self._under_way is None:
            return
        (epoch, written), self._under_way = self._under_way, None
        try:
            file = written.result()
        except OSError as error:
            if self._limit.take("preview"):
                wrong = unwritable("a preview", error, self._directory.path)
                self._log.write(ev.WarningEvent(message=wrong.message, hint=wrong.hint))
        else:
            self._log.write(ev.PreviewEvent(epoch=epoch, file=file))
