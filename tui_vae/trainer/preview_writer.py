"""Writes the preview images' reconstructions as training goes on; where that fails, training goes on all the same."""

from __future__ import annotations

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

    def write(self, epoch: int, images: NDArray[np.uint8]) -> None:
        """Write the reconstructions after `epoch`, `(N, height, width)` or `(N, height, width, 3)`.

        A failure is a warning in the log.
        """
        pixels, channels = [image.tobytes() for image in images], 1 if images.ndim == 3 else 3
        try:
            file = write_preview(self._directory.files.previews, epoch, pixels, images.shape[2], channels)
        except OSError as error:
            if self._limit.take("preview"):
                wrong = unwritable("a preview", error, self._directory.path)
                self._log.write(ev.WarningEvent(message=wrong.message, hint=wrong.hint))
        else:
            self._log.write(ev.PreviewEvent(epoch=epoch, file=file))
