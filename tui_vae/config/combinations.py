"""Options of a run that make no sense together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui_vae.errors import UsageError


def check_together(values: Mapping[str, Any]) -> None:
    """`values` maps the Python name of each option to its value.

    Raises:
        UsageError: two options contradict each other.
    """
    if values["objective"] == "bce" and values["output"] not in ("auto", "logits"):
        raise UsageError(f"objective bce needs probabilities, which output {values['output']} does not give",
                         "leave output at auto, or choose objective mse or sigma")  # fmt: skip
    if values["objective"] != "bce" and values["output"] == "logits":
        raise UsageError(f"output logits goes with objective bce, not with {values['objective']}",
                         "leave output at auto, or choose objective bce")  # fmt: skip
    if values["kl_cycles"] > 1 and values["kl_warmup"] * values["kl_cycles"] > values["epochs"]:
        cycle = f"{values['epochs']} epochs in {values['kl_cycles']} kl-cycles"
        raise UsageError(f"kl-warmup {values['kl_warmup']:g} is longer than a cycle: {cycle}",
                         "shorten it, or leave it at 0 for half a cycle")  # fmt: skip
    if values["batch_size"] == 1 and values["norm"] == "batch":
        raise UsageError("norm batch needs a batch-size of at least 2", "raise it, or choose norm layer")
    if values["batch_size"] == 1 and values["tc_weight"] > 0:
        raise UsageError("tc-weight needs a batch-size of at least 2, which it estimates q(z) from", "raise it")
