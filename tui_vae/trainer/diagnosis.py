"""What goes wrong in a training run, told from its `epoch` events: diverging, collapse, a dead decoder, overfitting.

Every threshold is a constant here, with the reason for it. They are set so that a healthy run is told nothing: a figure
is only ever compared with the same run's figures under the same β, so that KL warm-up and changes of β are no symptoms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from tui_vae.runs import events as ev

Symptom = Literal["diverging", "posterior collapse", "inactive dimensions", "dead decoder", "overfitting"]

SETTLED = 200
"""Steps before a network is judged by what it has not learnt. Of all presets none needs 100 to leave the mean image."""

IN_A_ROW = 2
"""Epochs at whose end a symptom must be seen before it is told: one may be the noise of one moment."""

CURED = 3
"""Epochs without a symptom before its next appearance is news again."""

RECON_FACTOR, KL_FACTOR = 2.0, 5.0
"""Diverging: the training loss is back above that of the first epoch under this β, and recon twice, or the KL five
times, what they were at its best. Spikes of Adam that heal within an epoch stay below that."""

ABSURD_KL = 1e6
"""Nats an image. All information in 64×64 pixels of 8 bits is 22,713 nats, so that no KL near this encodes anything."""

FEW = 1 / 3
"""Inactive dimensions are told where fewer than this share is active. Some more latents than the data need are common
and harmless: Burda et al. 2016 (https://arxiv.org/abs/1509.00519) found VAEs to use far fewer than they have."""

SAME_PICTURE = 0.01
"""A dead decoder: the variance of its pictures over images is below this share of the images' own."""

BLURRED = 0.5
"""Only where the mse is above this share of the images' variance can a decoder be dead; elsewhere it is not asked."""

PATIENCE = 5
"""Overfitting: epochs since the lowest test loss, as in the criteria of Prechelt 1998, "Early Stopping - But When?"."""

LOST = 0.02
"""Overfitting: the share of all that the test loss had gained under this β that the last three epochs have lost."""


@dataclass(frozen=True)
class Finding:
    """A symptom that has just begun: what is seen, and what to try."""

    symptom: Symptom
    message: str
    hint: str


class Diagnosis:
    """Looks at one epoch after the other; tells each symptom once, when it begins.

    `variance` is that of a pixel over the test images on [0, 1], mean over the pixels: the mse of one average picture,
    which no decoder that ignores z can beat. None: it is not known, and a dead decoder is not looked for.
    """

    def __init__(self, variance: float | None = None) -> None:
        self._variance = variance
        self._rows: dict[Symptom, int] = {}
        self._told: set[Symptom] = set()
        self._beta: ev.Number | object = object()
        self._first: ev.EpochEvent | None = None  # under the β of the newest epoch, as are the next three
        self._best_train: ev.EpochEvent | None = None
        self._best_test: ev.EpochEvent | None = None
        self._recent: deque[float] = deque(maxlen=3)

    def observe(self, epoch: ev.EpochEvent, decoded_variance: Callable[[], float | None]) -> list[Finding]:
        """What has begun with this epoch.

        `decoded_variance` is asked only where something may be wrong: the variance of a pixel over the reconstructions
        of test images at z = μ, as `variance` is over the images. None: not known, and nothing changes.
        """
        found = [self._diverging(epoch)]
        self._remember(epoch)
        if epoch.step >= SETTLED:
            found += [self._collapsed(epoch), self._inactive(epoch), self._dead(epoch, decoded_variance)]
        found.append(self._overfitting(epoch))
        findings = {each.symptom: each for each in found if each is not None}
        if "diverging" in findings:
            findings = {"diverging": findings["diverging"]}  # it explains all others
        elif "dead decoder" in findings:
            findings.pop("overfitting", None)
        for symptom in get_args(Symptom):
            self._count(symptom, symptom in findings)
        news = [each for each in findings.values() if each.symptom not in self._told and self._lasts(each.symptom)]
        self._told |= {each.symptom for each in news}
        return news

    def assume_dead_decoder(self, message: str) -> None:
        """If this was said of a dead decoder: it is not news while it lasts. The events alone do not show one."""
        if message.startswith("dead decoder: "):
            self._told.add("dead decoder")

    def _count(self, symptom: Symptom, present: bool) -> None:
        """Count epochs in a row with a symptom, or, below zero, without it; a long absence makes it news again."""
        row = self._rows.get(symptom, 0)
        self._rows[symptom] = max(row, 0) + 1 if present else min(row, 0) - 1
        if self._rows[symptom] <= -CURED:
            self._told.discard(symptom)

    def _lasts(self, symptom: Symptom) -> bool:
        return self._rows[symptom] >= (IN_A_ROW if symptom in LASTING else 1)

    def _remember(self, epoch: ev.EpochEvent) -> None:
        """Keep what the next epochs are compared with."""
        if epoch.train.loss is None or epoch.test.loss is None:
            return
        if self._first is None or epoch.beta != self._beta:
            self._beta = epoch.beta
            self._first = self._best_train = self._best_test = epoch
            self._recent.clear()
        if epoch.train.loss < _loss(self._best_train, "train"):
            self._best_train = epoch
        if epoch.test.loss < _loss(self._best_test, "test"):
            self._best_test = epoch
        self._recent.append(epoch.test.loss)

    def _diverging(self, epoch: ev.EpochEvent) -> Finding | None:
        train, at = epoch.train, f"after epoch {epoch.epoch}"
        hint = "lower the learning rate"
        if train.loss is None or epoch.test.loss is None:
            return Finding("diverging", f"diverging: the loss {at} is not a finite number", hint)
        if train.kl is not None and train.kl > ABSURD_KL:
            return Finding("diverging", f"diverging: the KL {at} is {train.kl:.3g} nats an image", hint)
        best, first = self._best_train, self._first
        if best is None or first is None or epoch.beta != self._beta or train.loss <= _loss(first, "train"):
            return None
        for name, factor in (("recon", RECON_FACTOR), ("kl", KL_FACTOR)):
            now, then = getattr(train, name), getattr(best.train, name)
            if now is not None and then is not None and now > factor * then and now > then + 1:
                what = f"{'KL' if name == 'kl' else name} is {now:.4g} {at} and was {then:.4g} at epoch {best.epoch}"
                return Finding("diverging", f"diverging: {what}", hint)
        return None

    def _collapsed(self, epoch: ev.EpochEvent) -> Finding | None:
        test = epoch.test
        if test.active_units or test.kl is None:
            return None
        return Finding(
            "posterior collapse",
            f"posterior collapse: after epoch {epoch.epoch} none of {len(test.kl_per_dim)} latent dimensions is active "
            f"(KL {test.kl:.2g} nats): every image is encoded alike",
            "lower β, let it rise slowly (--kl-warmup), or give each dimension some KL for free (--free-bits)",
        )

    def _inactive(self, epoch: ev.EpochEvent) -> Finding | None:
        active, dimensions = epoch.test.active_units, len(epoch.test.kl_per_dim)
        if not 0 < active < FEW * dimensions:
            return None
        return Finding(
            "inactive dimensions",
            f"inactive dimensions: after epoch {epoch.epoch} {active} of {dimensions} latent dimensions are active",
            f"a --latent-dim of about {active} does the same; a lower β, --kl-warmup or --free-bits makes use of more",
        )

    def _dead(self, epoch: ev.EpochEvent, decoded_variance: Callable[[], float | None]) -> Finding | None:
        test, variance = epoch.test, self._variance
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
        first, best = self._first, self._best_test
        if first is None or best is None or epoch.epoch - best.epoch < PATIENCE or epoch.train.loss is None:
            return None
        lowest = _loss(best, "test")
        if min(self._recent) <= lowest + LOST * (_loss(first, "test") - lowest):
            return None
        if epoch.train.loss >= _loss(best, "train"):
            return None
        return Finding(
            "overfitting",
            f"overfitting: from epoch {best.epoch} to epoch {epoch.epoch} the test loss has risen from {lowest:.4g} to "
            f"{self._recent[-1]:.4g}, while the training loss fell from {_loss(best, 'train'):.4g} to "
            f"{epoch.train.loss:.4g}",
            f"best.safetensors keeps the weights of epoch {best.epoch}: stop here; more images, a smaller network or "
            "a higher β would overfit later",
        )


LASTING: frozenset[Symptom] = frozenset({"posterior collapse", "inactive dimensions", "dead decoder"})
"""Those that must be seen `IN_A_ROW`; diverging is told at once, overfitting looks at several epochs anyway."""


def _loss(epoch: ev.EpochEvent | None, side: Literal["train", "test"]) -> float:
    loss = getattr(epoch, side).loss if epoch is not None else None
    return float("inf") if loss is None else float(loss)
