"""The learning rate that made a run diverge, below which it may go on."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from tui_vae.runs.events import ErrorEvent
from tui_vae.runs.health import DIVERGED
from tui_vae.runs.history import History


class Rate(NamedTuple):
    """The learning rate at which a run would go on."""

    step: int
    """The step of its last checkpoint; 0: it would begin anew."""
    value: float


def rate_to_lower(history: History) -> Rate | None:
    """The rate that made a failed run diverge, as of its last checkpoint; None where no lower one would help it."""
    error = next((message for message in reversed(history.messages) if isinstance(message, ErrorEvent)), None)
    is_failed = history.state is not None and history.state.state == "failed"
    if not is_failed or error is None or not error.message.startswith(DIVERGED) or "rate" not in error.hint:
        return None
    if history.checkpoint is not None:
        step = history.checkpoint.step
        at = bisect_right(history.steps["step"], step) - 1
        if at >= 0 and history.steps["lr"][at] > 0:
            return Rate(step, history.steps["lr"][at])
    planned = history.run.config.get("lr") if history.run and history.checkpoint is None else None
    return Rate(0, planned) if isinstance(planned, int | float) and planned > 0 else None
