"""Where in a user's own code something happened, for messages."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

import torch

OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
"""Where the code lies that is nobody's own model."""


def own_line(frames: Iterable[traceback.FrameSummary]) -> str:
    """` (my_vae.py, line 12)`: the innermost frame in neither PyTorch nor this package; empty if there is none."""
    for frame in reversed(list(frames)):
        if not frame.filename.startswith((*OURS, "<")) and "site-packages" not in frame.filename:
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""
