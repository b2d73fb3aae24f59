"""Where a sweep's runs train: what its runner needs of this machine, or of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from tui_vae.cli.sweep.run import SweepRun
from tui_vae.errors import UserError


class Start(Protocol):
    """A run that is being started, until its process trains it or cannot."""

    run_of_sweep: SweepRun
    what: str
    """What was done, in words for the report; empty where the start was withdrawn."""
    error: UserError | None
    """Why nothing was."""

    def is_alive(self) -> bool:
        """Whether that is not decided yet."""


class Room(Protocol):
    """How many runs train at once, and with how many threads each; None: as many as each run chooses."""

    @property
    def count(self) -> int: ...

    @property
    def threads(self) -> int | None: ...


class Site(Protocol):
    """A machine, or a cluster, that trains runs."""

    poll: float
    """Seconds between two looks at all runs."""

    @property
    def room(self) -> Room: ...

    @property
    def is_full(self) -> bool:
        """Whether no other run can be started now."""

    def start(self, run: SweepRun) -> Start | None:
        """Start or continue a run; None: it has to wait for another one to end."""

    def withdraw(self, run: SweepRun) -> None:
        """Do not start a run after all, where that is still possible; may be said again and again."""

    def follow(self, run: SweepRun) -> None:
        """Take note of a run that is being trained already, whoever started it."""

    def stop(self, run: SweepRun) -> None:
        """Ask a run that is being trained to stop after a checkpoint; does not wait for that."""

    def is_training(self, run: SweepRun) -> bool:
        """Whether a run that was started, or is followed, has not come to its end yet."""

    def look(self, run: SweepRun) -> None:
        """Correct the state that a run has by its log, where its machine was lost."""

    def failure(self, run: SweepRun) -> UserError | None:
        """Why a run has ended, where its log does not say it."""

    def ended(self, run: SweepRun) -> None:
        """A run has ended: another one may take its place."""

    def news(self, going: Sequence[SweepRun], some_wait: bool) -> Iterable[str]:
        """What has happened to the machines, in words for the report.

        `going`: the runs that are being trained; `some_wait`: whether others wait for a place.
        """

    def close(self) -> None:
        """The sweep has ended."""
