"""Runs side by side: their figures, which run is best in each, and the options in which they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tui_vae.config import RunConfig, option_name, options, preset_config, text_of
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History, read_history
from tui_vae.runs.rate_distortion import rate_distortion
from tui_vae.runs.steering import Change, Steering
from tui_vae.runs.summary import state_of


@dataclass(frozen=True)
class Difference:
    """The values of one option, one per run; None where a run's config cannot be read."""

    name: str
    values: tuple[str | None, ...]

    @property
    def same(self) -> bool:
        """Whether all runs have the same value."""
        return len(set(self.values)) < 2


def differences(configs: Sequence[RunConfig | None]) -> list[Difference]:
    """The options in which configurations differ, in the order of the form, without `name`, which always differs."""
    found = []
    for name in options():
        values = tuple(None if config is None else text_of(name, getattr(config, name)) for config in configs)
        if name != "name" and len({value for value in values if value is not None}) > 1:
            found.append(Difference(option_name(name), values))
    return found


def whole(config: RunConfig) -> list[Difference]:
    """Every option of a run beside its preset's value, those that differ first; without the name, which has none."""
    usual = preset_config(config.preset)
    rows = [
        Difference(option_name(name), tuple(text_of(name, getattr(each, name)) for each in (config, usual)))
        for name in options()
        if name not in ("name", "preset")
    ]
    return sorted(rows, key=lambda row: row.same)


@dataclass(frozen=True)
class Candidate:
    """A run in a comparison. `best` is its best epoch (`best-by`), whose weights `best.safetensors` holds."""

    name: str
    state: str
    config: RunConfig | None
    epochs: int
    planned: int
    best: ev.EpochEvent | None
    parameters: int | None
    seconds_per_epoch: float | None
    test_images: int | None = None
    steered: tuple[Change, ...] = ()
    health: tuple[str, ...] = ()
    pixels: int | None = None

    @property
    def distortion(self) -> float | None:
        """Of the best epoch on the test set, nats an image; None where it is not known."""
        found = rate_distortion(self.best.test.elbo_bpd, self.best.test.kl, self.pixels) if self.best else None
        return found[1] if found else None


def candidate(directory: RunDirectory, history: History | None = None) -> Candidate:
    """A run for a comparison; `history`: its log's, where that has been read already."""
    history = history or read_history(directory.events)
    try:
        config = directory.read_config()
    except UserError:
        config = None
    seconds = sorted(epoch.seconds for epoch in history.epochs)
    steering = Steering()
    for event in history.controls:
        steering.apply(event)
    state = state_of(directory, history.state)
    return Candidate(
        name=directory.name,
        state=state,
        steered=tuple(steering.changes),
        health=history.health(state),
        config=config,
        epochs=history.epochs[-1].epoch if history.epochs else 0,
        planned=history.run.epochs if history.run else 0,
        best=history.best,
        parameters=history.run.parameters if history.run else None,
        seconds_per_epoch=seconds[len(seconds) // 2] if seconds else None,
        test_images=history.run.dataset.test if history.run else None,
        pixels=history.run.dataset.pixels if history.run else None,
    )


@dataclass(frozen=True)
class Figure:
    """A metric of the best epoch on the test set, or of the run. `lower_is_better`: False where no value is better."""

    name: str
    form: str
    value: Callable[[Candidate], float | None]
    lower_is_better: bool = False


def _test(name: str) -> Callable[[Candidate], float | None]:
    return lambda run: getattr(run.best.test, name) if run.best else None


LOSS = Figure("test loss", ".2f", _test("loss"), lower_is_better=True)
ACTIVE = Figure("active", ".0f", _test("active_units"))
SECONDS = Figure("s/epoch", ".2f", lambda run: run.seconds_per_epoch)
FIGURES = (
    LOSS,
    Figure("mse", ".5f", _test("mse"), lower_is_better=True),
    Figure("bits/px", ".3f", _test("elbo_bpd"), lower_is_better=True),
    Figure("KL", ".2f", _test("kl")),
    ACTIVE,
    SECONDS,
)
"""No value of s/epoch is better: it depends more on the machine and its load than on the options."""


class Compared(Protocol):
    """What decides whether the metrics of a run can be compared with those of another."""

    @property
    def config(self) -> RunConfig | None:
        """None where it cannot be read."""

    @property
    def test_images(self) -> int | None:
        """Size of the test set in use; None where it is not known."""


OF_TEST_SET = ("dataset", "data_dir", "image_size", "channels", "test_share", "test_limit")
"""The options that decide what the test images are."""


def why_incomparable(runs: Sequence[Compared], is_loss: bool) -> str:
    """Why a test metric of these runs cannot be compared, in a few words for the user; empty if it can be.

    Only metrics of one test set can be compared, and losses only where the same function is minimized: one objective
    with one β, one warm-up, and one number of free nats. All other metrics are the same functions for every objective.
    """
    configs = [run.config for run in runs if run.config is not None]
    if len(configs) < len(runs):
        return "a config cannot be read"
    test_sets = {tuple(getattr(config, name) for name in OF_TEST_SET) for config in configs}
    if len(test_sets) > 1 or len({run.test_images for run in runs}) > 1:
        return "test sets differ"
    of_loss = [name for name, option in options().items() if option.group == "objective"]
    losses = {tuple(getattr(config, name) for name in of_loss) for config in configs}
    return "objectives differ" if is_loss and len(losses) > 1 else ""


def winners(runs: Sequence[Candidate], figure: Figure) -> set[int]:
    """The indices of the runs with the best value of a figure; none where values cannot be compared, or are all equal.

    A run that lacks the figure takes no part.
    """
    values = {at: value for at, run in enumerate(runs) if (value := figure.value(run)) is not None}
    if not figure.lower_is_better or len(values) < 2 or why_incomparable([runs[at] for at in values], figure is LOSS):
        return set()
    best = min(values.values())
    found = {at for at, value in values.items() if value == best}
    return set() if len(found) == len(values) else found
