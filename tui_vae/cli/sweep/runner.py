"""Keeps the runs of a sweep going, as many side by side as there are places, until all have ended or a signal comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from tui_vae.cli.sweep.places import Places
from tui_vae.cli.sweep.report import Report, Status
from tui_vae.cli.sweep.run import LIVING, SweepRun
from tui_vae.cli.train import request_stop
from tui_vae.errors import UserError
from tui_vae.runs.create import create_run, failed_early
from tui_vae.runs.directory import HOLDER_PAUSE
from tui_vae.runs.launch import continue_training, start_training
from tui_vae.runs.safe_files import cannot
from tui_vae.runs.summary import state_of
from tui_vae.runs.tags import Tags, write_tags

POLL = 0.05
"""Seconds between two looks at all living runs: a place that becomes free stays so for half of it on average."""

MOST_STARTS = 8
"""Processes that start at once: more of them would keep each other from being ready in time, on a slow disk say."""

TURNING = 10.0
"""Seconds to wait until a process that served a run trains it."""


class Start(threading.Thread):
    """Starts or continues a run, beside others: a process needs some tenths of a second until it holds its lock."""

    def __init__(self, run: SweepRun) -> None:
        super().__init__(daemon=True)
        self.run_of_sweep = run
        self.what = ""
        """What was done, in words for the report."""
        self.error: UserError | None = None
        """Why nothing was."""

    def run(self) -> None:
        try:
            self.what = self._start()
        except UserError as error:
            self.error = error
        except Exception as error:  # it would be lost with this thread
            self.error = UserError(f"it could not be started: {type(error).__name__}: {error}")
        if self.error is not None and self.run_of_sweep.directory.is_training():
            self.what, self.error = "is being trained already", None  # by somebody who was quicker

    def _start(self) -> str:
        """
        Raises:
            UserError: it cannot be started.
        """
        run = self.run_of_sweep
        directory, place = run.directory, run.place
        if not directory.config.is_file():
            assert place is not None
            wanted = replace(
                run.wanted, device=place.device or run.wanted.device, threads=run.wanted.threads or place.threads
            )
            create_run(directory.path.parent, wanted)
            with suppress(OSError):  # a full disk: the run says so itself
                write_tags(directory, Tags(group=run.group))
            start_training(directory)
            return "training"
        state = state_of(directory, run.history.state if run.history else None)
        if failed_early(directory):
            create_run(directory.path.parent, directory.read_config())
            start_training(directory)
            run.open_log()
            return "failed before its first step, trained anew"
        continue_training(directory)
        deadline = time.monotonic() + TURNING
        while (holder := directory.holder()) and holder.mode == "serve" and time.monotonic() < deadline:
            time.sleep(HOLDER_PAUSE)  # a process that served the run begins to train it a moment after its answer
        return f"was {state}, goes on"


class Runner:
    """Trains what a sweep lacks. `runs` are changed as they go; nothing that is finished is trained again."""

    def __init__(self, runs: Sequence[SweepRun], places: Places, report: Report) -> None:
        self._runs = runs
        self._places = places
        self._report = report
        self._going: list[SweepRun] = []
        self._starts: list[Start] = []

    def train_all(self, asked: Sequence[int]) -> bool:
        """Train all; False where that ended before all runs had, because of the signals that are gathered in `asked`.

        The first one stops the living runs after a checkpoint; a second one leaves them alone.
        """
        for run in self._runs:
            self._look_before(run)
        while self._going or self._starts or (not asked and any(run.state == "waiting" for run in self._runs)):
            if not asked:
                self._fill_places()
            for start in [each for each in self._starts if not each.is_alive()]:
                self._starts.remove(start)
                self._started(start)
            for run in list(self._going):
                self._look_at(run)
                if asked and run in self._going and not run.told_to_stop:
                    run.told_to_stop, run.state = True, "stopping"
                    request_stop(run.directory)
            self._report.show(Status(self._runs, self._places.count, bool(asked)))
            if len(asked) > 1 and (self._going or self._starts):
                names = ", ".join(run.name for run in (*self._going, *(each.run_of_sweep for each in self._starts)))
                self._report.note(f"left before these had stopped: {names}")
                return False
            time.sleep(POLL)
        return not asked or all(run.state == "finished" for run in self._runs)

    def _look_before(self, run: SweepRun) -> None:
        """Pass by a run that is finished, follow one that is being trained."""
        if not run.directory.config.is_file():
            return
        run.device = run.directory.read_config().device
        run.open_log()
        assert run.history is not None
        run.state = state_of(run.directory, run.history.state)
        if run.state == "finished":
            run.history = None
            self._report.begun(run, "finished already")
        elif run.state in LIVING and run.state != "paused":
            run.begin(self._places.take(run.device))
            self._going.append(run)
            self._report.begun(run, "is being trained already")
        else:
            run.state = "waiting"

    def _fill_places(self) -> None:
        for run in self._runs:
            if not self._places.free or len(self._starts) >= MOST_STARTS:
                break
            if run.state == "waiting" and (place := self._places.take(run.device)) is not None:
                run.begin(place)
                start = Start(run)
                self._starts.append(start)
                start.start()
        waits = any(run.state == "waiting" for run in self._runs) and not self._starts
        if waits and (device := self._places.grow(self._going)):
            self._report.note(f"{device} has room for another run beside")

    def _started(self, start: Start) -> None:
        run = start.run_of_sweep
        if start.error is not None:
            run.fail(start.error)
            self._end(run)
            return
        if run.history is None:
            run.open_log()
        self._report.begun(run, start.what)
        self._going.append(run)

    def _look_at(self, run: SweepRun) -> None:
        """Read the new events of a run; when its process has gone, report how it ended and free its place."""
        alive = run.directory.is_training()
        try:
            for warning in run.read_on():
                self._report.warned(run, warning)
            if alive:
                return
            run.end()
        except OSError as error:
            run.fail(cannot("read the run", error, "it may still train"))
        self._going.remove(run)
        self._end(run)

    def _end(self, run: SweepRun) -> None:
        self._places.give_back(run.place)
        run.place = None
        self._report.ended(run, Status(self._runs, self._places.count, stopping=False))
