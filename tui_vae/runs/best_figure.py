"""The test figure by which a run's epochs are ranked: the option `best-by`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIELDS = {"loss": "loss", "bits": "elbo_bpd", "mse": "mse"}
"""Value of the option → the figure's name in the events. Of all of them the lowest is the best."""


def best_figure(test: object, best_by: str) -> float | None:
    """The value of the figure `best_by` among those of an evaluation, or of an event."""
    value: float | None = getattr(test, FIELDS[best_by])
    return value


def best_by(config: Mapping[str, Any]) -> str:
    """The option in a `run` event or a checkpoint; `loss` where an older version wrote it."""
    given = config.get("best-by")
    return given if isinstance(given, str) and given in FIELDS else "loss"
