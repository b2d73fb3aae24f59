"""The runs of a sweep on this machine, as many side by side as there are places."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tui_vae.cli.sweep.begin import ANEW, begin
from tui_vae.cli.sweep.places import Places
from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.train import request_stop
from tui_vae.errors import UserError

MOST_STARTS = 8
"""Processes that start at once: more of them would keep each other from being ready in time, on a slow disk say."""


class StartHere(threading.Thread):
    """Starts or continues a run, beside others: a process needs some tenths of a second until it holds its lock."""

    def __init__(self, run: SweepRun) -> None:
        super().__init__(daemon=True)
        self.run_of_sweep = run
        self.what = ""
        self.error: UserError | None = None

    def run(self) -> None:
        run, place = self.run_of_sweep, self.run_of_sweep.place
        assert place is not None
        wanted = replace(
            run.wanted, device=place.device or run.wanted.device, threads=run.wanted.threads or place.threads
        )
        try:
            self.what = begin(run.directory, wanted, run.group)
            if self.what == ANEW:
                run.open_log()
        except UserError as error:
            self.error = error
        except Exception as error:  # it would be lost with this thread
            self.error = UserError(f"it could not be started: {type(error).__name__}: {error}")
        if self.error is not None and run.directory.is_training():
            self.what, self.error = "is being trained already", None  # by somebody who was quicker


class Here:
    """This machine."""

    poll = 0.05
    """Seconds: a place that becomes free stays so for half of it on average."""

    def __init__(self, places: Places) -> None:
        self.room = places
        self._starts: list[StartHere] = []

    @property
    def is_full(self) -> bool:
        self._starts = [each for each in self._starts if each.is_alive()]
        return not self.room.free or len(self._starts) >= MOST_STARTS

    def start(self, run: SweepRun) -> StartHere | None:
        if (place := self.room.take(run.device)) is None:
            return None
        run.begin(place)
        start = StartHere(run)
        self._starts.append(start)
        start.start()
        return start

    def withdraw(self, run: SweepRun) -> None:
        """It is started within a moment, and then stopped."""

    def follow(self, run: SweepRun) -> None:
        run.begin(self.room.take(run.device))

    def stop(self, run: SweepRun) -> None:
        request_stop(run.directory)

    def is_training(self, run: SweepRun) -> bool:
        return run.directory.is_training()

    def look(self, run: SweepRun) -> None:
        """This machine is not lost without the sweep."""

    def failure(self, run: SweepRun) -> None:
        return None

    def ended(self, run: SweepRun) -> None:
        self.room.give_back(run.place)
        run.place = None

    def news(self, going: Sequence[SweepRun], some_wait: bool) -> Iterable[str]:
        if some_wait and not any(each.is_alive() for each in self._starts) and (device := self.room.grow(going)):
            yield f"{device} has room for another run beside"

    def close(self) -> None:
        pass
