"""How fast a run trains at the moment, as its own reports tell."""

from __future__ import annotations

import time

from tui_vae.runs.events import LogTail, StepEvent


def training_rate(tail: LogTail, seconds: float) -> float:
    """Images that a run trains a second, its evaluations counted in: from its next report on, about as long as that."""
    first = next_step(tail)
    time.sleep(seconds)
    last = next_step(tail)
    return (last.images - first.images) / (last.t - first.t)


def next_step(tail: LogTail) -> StepEvent:
    """The newest report of a run, once there is another one than before."""
    while not (found := [event for event in tail.read_all() if isinstance(event, StepEvent)]):
        time.sleep(0.02)
    return found[-1]
