"""Options of a run that make no sense together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_vae.errors import UsageError

if TYPE_CHECKING:
    from tui_vae.config.run_config import RunConfig


def check_together(config: RunConfig) -> None:
    """
    Raises:
        UsageError: two options contradict each other.
    """
    if config.objective == "bce" and config.output not in ("auto", "logits"):
        raise UsageError(f"objective bce needs probabilities, which output {config.output} does not give",
                         "leave output at auto, or choose objective mse or sigma")  # fmt: skip
    if config.objective != "bce" and config.output == "logits":
        raise UsageError(f"output logits goes with objective bce, not with {config.objective}",
                         "leave output at auto, or choose objective bce")  # fmt: skip
    if config.kl_cycles > 1 and config.kl_warmup * config.kl_cycles > config.epochs:
        raise UsageError(f"kl-warmup {config.kl_warmup:g} is longer than a cycle: {config.epochs} epochs in "
                         f"{config.kl_cycles} kl-cycles", "shorten it, or leave it at 0 for half a cycle")  # fmt: skip
    if config.batch_size == 1 and config.norm == "batch":
        raise UsageError("norm batch needs a batch-size of at least 2", "raise it, or choose norm layer")
    if config.batch_size == 1 and config.tc_weight > 0:
        raise UsageError("tc-weight needs a batch-size of at least 2, which it estimates q(z) from", "raise it")
