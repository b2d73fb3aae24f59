"""The learning rate that made a run diverge, below which it may go on."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from tui_vae.runs.events import ErrorEvent
from tui_vae.runs.health import DIVERGED, LOWER
from tui_vae.runs.history import History


class Rate(NamedTuple):
    """The learning rate at which a run would go on.

    `step`: of its last checkpoint; 0: it would begin anew. `value`: the rate there, which a factor multiplies.
    `suggested`: a tenth of that, or of the rate at which the run diverged, if that was lower already.
    """

    step: int
    value: float
    suggested: float


def rate_to_lower(history: History) -> Rate | None:
    """The rate that made a failed run diverge, as of its last checkpoint; None where no lower one would help it."""
    error = next((message for message in reversed(history.messages) if isinstance(message, ErrorEvent)), None)
    is_failed = history.state is not None and history.state.state == "failed"
    if not is_failed or error is None or not error.message.startswith(DIVERGED) or "rate" not in error.hint:
        return None
    step, value = 0, history.run.config.get("lr") if history.run else None
    if history.checkpoint is not None:
        step = history.checkpoint.step
        at = bisect_right(history.steps["step"], step) - 1
        value = history.steps["lr"][at] if at >= 0 else None
    if not isinstance(value, int | float) or value <= 0:
        return None
    changed = [each.value for each in history.controls if each.command == "set lr" and each.step >= step and each.value]
    return Rate(step, value, min([value, *history.steps["lr"][-1:], *changed[-1:]]) / LOWER)
