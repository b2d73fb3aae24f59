"""What is wrong with a run, in words for lists and headers: by its newest epoch, and by what its process has said."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tui_vae.runs import events as ev

DIVERGED = "the weights diverged"
"""How the error begins that ends a run whose weights are no finite numbers any more."""

LOWER = 10
"""The divisor of the learning rate that is suggested after a divergence. A third of it often only diverges later."""

WARNED = {
    "diverging:": "diverged",
    DIVERGED: "diverged",
    "dead decoder:": "dead decoder",
    "overfitting:": "overfitting",
}
"""How a warning or an error begins → the word for it."""

JUDGED_FROM = 200
"""Steps before a run in training is judged by the dimensions that it uses: a young one may not have begun to."""

FEW_ACTIVE = 1 / 3
"""Idle units: less than this share of the latent dimensions is active. Fewer idle ones are common and harmless
(Burda et al. 2016, https://arxiv.org/abs/1509.00519)."""


INFORMATIVE_KL = 0.1
"""Nats of KL from which a latent dimension counts as used by the second count of active units. The textbook's count,
by the variance of the posterior mean, takes in dimensions of a few thousandths of a nat, which the decoder ignores."""


def tell_apart(images: int) -> bool:
    """Whether that many test images can show which latent dimensions tell images apart: of one, all seem idle."""
    return images != 1  # 0: an old log, which does not tell


def health(
    newest: ev.EpochEvent | None, said: Iterable[str], state: str, dimensions: int | None = None,
    run: ev.RunEvent | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """The words, the worst first; none for a run in which nothing was found.

    Args:
        newest: the newest valid epoch.
        said: messages of the warnings and errors of the run's newest process.
        state: of the run. One that trains no more is judged however short it was.
        dimensions: of the latent space; None: as many as `newest` tells of.
        run: what its newest process said of it; None: not known.
    """
    words = dict.fromkeys(word for text in said for start, word in WARNED.items() if text.startswith(start))
    if newest is None:
        return tuple(words)
    test = newest.test
    if test.loss is None or not math.isfinite(test.loss):
        words["diverged"] = None
    count = len(test.kl_per_dim) if dimensions is None else dimensions
    is_young = state in ("loading", "training", "paused") and newest.step < JUDGED_FROM
    is_judged = not is_young and (run is None or tell_apart(run.dataset.test))
    if count and is_judged and "diverged" not in words:
        if test.active_units == 0:
            words["collapsed"] = None
        elif test.active_units < FEW_ACTIVE * count:
            words["idle units"] = None
    return tuple(words)
