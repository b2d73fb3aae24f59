"""Runs that differ in nothing but their seed: mean and spread of their figures, as one row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tui_vae.config import option_name, text_of
from tui_vae.runs.comparison import LOSS, Candidate, Figure, why_incomparable


@dataclass(frozen=True)
class SeedGroup:
    """The runs of one combination. `settings`: name and value of each option that varies between groups, as typed."""

    settings: tuple[tuple[str, str], ...]
    runs: tuple[Candidate, ...]

    @property
    def finished(self) -> list[Candidate]:
        """The runs whose figures count: those of a run that was stopped on its way are of another training."""
        return [run for run in self.runs if run.state == "finished"]

    def values(self, figure: Figure) -> list[float]:
        return [value for run in self.finished if (value := figure.value(run)) is not None]

    def mean(self, figure: Figure) -> float | None:
        values = self.values(figure)
        return statistics.fmean(values) if values else None

    def spread(self, figure: Figure) -> float | None:
        """The sample standard deviation, Σ (x − mean)² divided by n − 1; None of fewer than two runs."""
        values = self.values(figure)
        return statistics.stdev(values) if len(values) > 1 else None


def seed_groups(runs: Sequence[Candidate], varied: Sequence[str]) -> list[SeedGroup]:
    """Runs by the values of `varied`, which are the options of a sweep that vary besides the seed, in their order."""
    groups: dict[tuple[tuple[str, str], ...], list[Candidate]] = {}
    for run in runs:
        if run.config is not None:
            key = tuple((option_name(name), text_of(name, getattr(run.config, name))) for name in varied)
            groups.setdefault(key, []).append(run)
    return [SeedGroup(key, tuple(members)) for key, members in groups.items()]


def best_groups(groups: Sequence[SeedGroup], figure: Figure) -> set[int]:
    """The indices of the groups with the best mean of a figure; none where means cannot be compared, or are equal."""
    means = {at: mean for at, group in enumerate(groups) if (mean := group.mean(figure)) is not None}
    finished = [run for at in means for run in groups[at].finished]
    if not figure.lower_is_better or len(means) < 2 or why_incomparable(finished, figure is LOSS):
        return set()
    best = min(means.values())
    found = {at for at, mean in means.items() if mean == best}
    return set() if len(found) == len(means) else found
