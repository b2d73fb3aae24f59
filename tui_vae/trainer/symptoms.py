"""Rules that find in `epoch` events what goes wrong in training: divergence, collapse, dead decoders, overfitting.

Every threshold is a constant here, with its reason. A healthy run must get no warning: figures are only compared with
those of the same run under the same β, so that KL warm-up and changes of β are no symptoms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeGuard, get_args

import msgspec
from msgspec import UNSET

from tui_vae.runs import events as ev
from tui_vae.runs.health import FEW_ACTIVE, JUDGED_FROM, tell_apart

Symptom = Literal["diverging", "posterior collapse", "inactive dimensions", "dead decoder", "overfitting"]

LASTING: frozenset[Symptom] = frozenset({"posterior collapse", "inactive dimensions", "dead decoder"})
"""Symptoms that must last for `IN_A_ROW` epochs. Diverging is reported at once; overfitting spans epochs anyway."""

FIRST_JUDGED_STEP = JUDGED_FROM
"""Steps before a network in training is judged by what it has not learnt: no preset needs 100 to leave the mean
image."""

IN_A_ROW = 2
"""Epochs in a row that must show a lasting symptom before it is reported: one may be the noise of one moment."""

CURED = 3
"""Epochs in a row without a symptom after which its next appearance is reported again."""

RECON_FACTOR, KL_FACTOR = 2.0, 5.0
"""Diverging: the training loss is above that of the first epoch under this β, and recon is twice, or the KL five times,
what it was at the lowest training loss. Spikes of Adam that heal within an epoch stay below that."""

LEAST_RISE = 1.0
"""Diverging: recon, or the KL in nats, must also have risen by more than this: a multiple of almost nothing is no
symptom."""

ABSURD_KL = 1e6
"""Nats an image. All information in 64×64 grey pixels of 8 bits is 22,713 nats, and in 256×256 of three colours 1.1
million, so that no KL near this encodes anything."""

SAME_PICTURE = 0.01
"""Dead decoder: the variance of its pictures over images is below this share of the images' own."""

BLURRED = 0.5
"""Dead decoder: looked for only where the mse is above this share of the images' variance, as looking costs time."""

PATIENCE = 5
"""Overfitting: epochs since the lowest test loss, as in the criteria of Prechelt 1998, "Early Stopping - But When?"."""

RECENT = 3
"""Overfitting: newest epochs that must all be above the limit."""

LOST = 0.02
"""Overfitting: rise of the `RECENT` epochs above the lowest test loss, as a fraction of the total improvement under
this β."""


@dataclass(frozen=True)
class Finding:
    """A symptom that begins: what is seen, and what to try."""

    symptom: Symptom
    message: str
    hint: str


class EpochFigures(msgspec.Struct, frozen=True):
    """The figures of an epoch that later ones are compared with. `recon`, `kl`: of the training images."""

    epoch: int
    train_loss: float
    test_loss: float
    recon: float | None
    kl: float | None


class DiagnosisState(msgspec.Struct):
    """All that a diagnosis remembers of past epochs, in a form that JSON holds.

    `streaks`: epochs in a row that showed a symptom, or, below zero, that did not. `reported`: symptoms that are not
    reported again while they last. `first`, `best_train`, `best_test` (lowest loss) and `recent_test_losses` are of the
    epochs under `beta`, the β of the newest one.
    """

    streaks: dict[Symptom, int] = msgspec.field(default_factory=dict)
    reported: set[Symptom] = msgspec.field(default_factory=set)
    beta: float | None = None
    first: EpochFigures | None = None
    best_train: EpochFigures | None = None
    best_test: EpochFigures | None = None
    recent_test_losses: list[float] = msgspec.field(default_factory=list)


class Diagnosis:
    """Takes one epoch after the other and returns each symptom once, when it begins."""

    def __init__(
        self, variance: Callable[[], float] | None = None, state: dict[str, Any] | None = None, test_images: int = 0
    ) -> None:
        """Args:
        variance: gives that of a pixel over the test images on [0, 1], mean over the pixels: the mse of their mean
            picture, which no decoder that ignores z can beat. It is called at most once, after the first epochs. None:
            unknown, and dead decoders are not looked for.
        state: what `state` returned earlier, to continue from there.
        test_images: how many the figures are of; 0: unknown.
        """
        self._judges_dimensions = tell_apart(test_images)
        self._variance = cache(variance) if variance else None
        self._state = msgspec.convert(state or {}, DiagnosisState)
        self._newest: ev.EpochEvent | None = None
        self.unreported: list[Finding] = []
        """Symptoms that the newest epoch shows and that have not been reported, as they were not to be yet."""

    def state(self) -> dict[str, Any]:
        """What this diagnosis remembers, as JSON holds it."""
        state: dict[str, Any] = msgspec.to_builtins(self._state, order="deterministic")
        return state

    def observe(
        self,
        epoch: ev.EpochEvent,
        decoded_variance: Callable[[], float | None],
        may_report: Callable[[Symptom], bool] = lambda symptom: True,
    ) -> list[Finding]:
        """The symptoms that begin with this epoch, and those that began before and could not be reported until now.

        `decoded_variance` is called only where something may be wrong. It gives the variance of a pixel over the
        reconstructions of test images at z = μ, as `variance` is over the images; None: unknown, no symptom.
        """
        self._newest = epoch
        found = [self._diverging(epoch)]
        self._remember(epoch)
        if epoch.step >= FIRST_JUDGED_STEP:
            found += [self._collapsed(epoch), self._inactive(epoch), self._dead(epoch, decoded_variance)]
        found.append(self._overfitting(epoch))
        findings = {each.symptom: each for each in found if each is not None}
        if "diverging" in findings:
            findings = {"diverging": findings["diverging"]}  # it explains all others
        elif "dead decoder" in findings:
            findings.pop("overfitting", None)
        for symptom in get_args(Symptom):
            self._count(symptom, symptom in findings)
        reported = self._state.reported
        news = [each for each in findings.values() if each.symptom not in reported and self._lasts(each.symptom)]
        now = [each for each in news if may_report(each.symptom)]
        self.unreported = [each for each in news if each not in now]
        reported |= {each.symptom for each in now}
        return now

    def report_rest(self) -> list[Finding]:
        """The symptoms that have not been reported, which count as reported from now on.

        A collapse that the newest epoch shows is one of them, however few steps there were: whoever looks at the run
        looks at that epoch.
        """
        now, self.unreported = self.unreported, []
        if self._newest is not None and "posterior collapse" not in self._state.reported:
            collapsed = self._collapsed(self._newest)
            now += [collapsed] if collapsed and all(each.symptom != collapsed.symptom for each in now) else []
        self._state.reported |= {each.symptom for each in now}
        return now

    def assume_dead_decoder(self, message: str) -> None:
        """Count a dead decoder as reported if `message` is that report: `epoch` events alone do not show one."""
        if message.startswith("dead decoder: "):
            self._state.reported.add("dead decoder")

    def _count(self, symptom: Symptom, present: bool) -> None:
        streaks = self._state.streaks
        streak = streaks.get(symptom, 0)
        streaks[symptom] = max(streak, 0) + 1 if present else min(streak, 0) - 1
        if streaks[symptom] <= -CURED:
            self._state.reported.discard(symptom)

    def _lasts(self, symptom: Symptom) -> bool:
        return self._state.streaks[symptom] >= (IN_A_ROW if symptom in LASTING else 1)

    def _remember(self, epoch: ev.EpochEvent) -> None:
        """Keep what the next epochs are compared with."""
        train, test, state = epoch.train, epoch.test, self._state
        if not _is_number(train.loss) or not _is_number(test.loss):
            return
        figures = EpochFigures(epoch.epoch, train.loss, test.loss, train.recon, train.kl)
        if state.first is None or _beta(epoch) != state.beta:
            state.beta = _beta(epoch)
            state.first = state.best_train = state.best_test = figures
            state.recent_test_losses = []
        if state.best_train is None or figures.train_loss < state.best_train.train_loss:
            state.best_train = figures
        if state.best_test is None or figures.test_loss < state.best_test.test_loss:
            state.best_test = figures
        state.recent_test_losses = [*state.recent_test_losses, figures.test_loss][-RECENT:]

    def _diverging(self, epoch: ev.EpochEvent) -> Finding | None:
        train, at, state = epoch.train, f"after epoch {epoch.epoch}", self._state
        hint = "lower the learning rate"
        if not _is_number(train.loss) or not _is_number(epoch.test.loss):
            return Finding("diverging", f"diverging: the loss {at} is not a finite number", hint)
        if train.kl is not None and train.kl > ABSURD_KL:
            return Finding("diverging", f"diverging: the KL {at} is {train.kl:.3g} nats an image", hint)
        best, first = state.best_train, state.first
        if best is None or first is None or _beta(epoch) != state.beta or train.loss <= first.train_loss:
            return None
        for name, now, then, limit in (
            ("recon", train.recon, best.recon, RECON_FACTOR),
            ("KL", train.kl, best.kl, KL_FACTOR),
        ):
            if now is not None and then is not None and now > limit * then and now > then + LEAST_RISE:
                what = f"{name} is {now:.4g} {at} and was {then:.4g} at epoch {best.epoch}"
                return Finding("diverging", f"diverging: {what}", hint)
        return None

    def _collapsed(self, epoch: ev.EpochEvent) -> Finding | None:
        test = epoch.test
        if test.active_units or test.kl is None or not self._judges_dimensions:
            return None
        return Finding(
            "posterior collapse",
            f"posterior collapse: after epoch {epoch.epoch} none of {len(test.kl_per_dim)} latent dimensions is active "
            f"(KL {test.kl:.2g} nats): every image is encoded alike",
            "lower β, let it rise slowly (--kl-warmup), or give each dimension some KL for free (--free-bits)",
        )

    def _inactive(self, epoch: ev.EpochEvent) -> Finding | None:
        active, dimensions = epoch.test.active_units, len(epoch.test.kl_per_dim)
        if not 0 < active < FEW_ACTIVE * dimensions:
            return None
        return Finding(
            "inactive dimensions",
            f"inactive dimensions: after epoch {epoch.epoch} {active} of {dimensions} latent dimensions are active",
            f"a --latent-dim of about {active} does the same; a lower β, --kl-warmup or --free-bits makes use of more",
        )

    def _dead(self, epoch: ev.EpochEvent, decoded_variance: Callable[[], float | None]) -> Finding | None:
        test, variance = epoch.test, self._variance() if self._variance else None
        if not variance or not test.active_units or (test.mse is not None and test.mse < BLURRED * variance):
            return None  # where no dimension is active, the encoder is at fault
        decoded = decoded_variance()
        if decoded is None or not decoded < SAME_PICTURE * variance:
            return None
        return Finding(
            "dead decoder",
            f"dead decoder: after epoch {epoch.epoch} it makes the same picture of every image, although "
            f"{test.active_units} latent dimensions tell them apart",
            "lower the learning rate, or, where the loss still falls slowly, raise it; norm layer and silu die less",
        )

    def _overfitting(self, epoch: ev.EpochEvent) -> Finding | None:
        train_loss, state = epoch.train.loss, self._state
        first, best = state.first, state.best_test
        if first is None or best is None or epoch.epoch - best.epoch < PATIENCE or not _is_number(train_loss):
            return None
        lowest = best.test_loss
        if min(state.recent_test_losses) <= lowest + LOST * (first.test_loss - lowest):
            return None
        if train_loss >= best.train_loss:
            return None
        return Finding(
            "overfitting",
            f"overfitting: from epoch {best.epoch} to epoch {epoch.epoch} the test loss has risen from {lowest:.4g} to "
            f"{state.recent_test_losses[-1]:.4g}, while the training loss fell from {best.train_loss:.4g} to "
            f"{train_loss:.4g}",
            f"best.safetensors keeps the weights of epoch {best.epoch}: stop here; more images, a smaller network or "
            "a higher β would overfit later",
        )


def _is_number(value: ev.Number) -> TypeGuard[float]:
    """Whether it is finite: what is not is read from the log as None."""
    return value is not None and math.isfinite(value)


def _beta(epoch: ev.EpochEvent) -> float | None:
    """The β of the epoch's losses; older logs do not have it."""
    return None if epoch.beta is UNSET else epoch.beta
