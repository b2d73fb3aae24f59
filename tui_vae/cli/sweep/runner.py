"""Keeps the runs of a sweep going, as many side by side as have room, until all have ended or a signal comes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tui_vae.cli.sweep.report import Report, Status
from tui_vae.cli.sweep.run import LIVING, SweepRun
from tui_vae.cli.sweep.site import Site, Start
from tui_vae.runs.safe_files import cannot
from tui_vae.runs.summary import state_of


class Runner:
    """Trains what a sweep lacks. `runs` are changed as they go; nothing that is finished is trained again."""

    def __init__(self, runs: Sequence[SweepRun], site: Site, report: Report) -> None:
        self._runs = runs
        self._site = site
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
                self._start_more()
            for start in [each for each in self._starts if not each.is_alive()]:
                self._starts.remove(start)
                self._started(start)
            for run in list(self._going):
                self._look_at(run)
                if asked and run in self._going and not run.told_to_stop:
                    run.told_to_stop, run.state = True, "stopping"
                    self._site.stop(run)
            if asked:
                for start in self._starts:
                    self._site.withdraw(start.run_of_sweep)
            self._report.show(Status(self._runs, self._site.room.count, bool(asked)))
            if len(asked) > 1 and (self._going or self._starts):
                names = ", ".join(run.name for run in (*self._going, *(each.run_of_sweep for each in self._starts)))
                self._report.note(f"left before these had stopped: {names}")
                return False
            time.sleep(self._site.poll)
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
            self._site.follow(run)
            self._going.append(run)
            self._report.begun(run, "is being trained already")
        else:
            run.state = "waiting"

    def _start_more(self) -> None:
        for run in self._runs:
            if self._site.is_full:
                break
            if run.state == "waiting" and (start := self._site.start(run)) is not None:
                self._starts.append(start)
        for each in self._site.news(self._going, any(run.state == "waiting" for run in self._runs)):
            self._report.note(each)

    def _started(self, start: Start) -> None:
        run = start.run_of_sweep
        if start.error is not None:
            run.fail(start.error)
            self._end(run)
            return
        if not start.what:
            run.state = "waiting"
            return
        if run.history is None:
            run.open_log()
        self._report.begun(run, start.what)
        self._going.append(run)

    def _look_at(self, run: SweepRun) -> None:
        """Read the new events of a run; when its process has gone, report how it ended and free its place."""
        alive = self._site.is_training(run)
        try:
            for warning in run.read_on():
                self._report.warned(run, warning)
            if alive:
                self._site.look(run)
                return
            run.end()
            if error := self._site.failure(run):
                run.fail(error)
        except OSError as error:
            run.fail(cannot("read the run", error, "it may still train"))
        self._going.remove(run)
        self._end(run)

    def _end(self, run: SweepRun) -> None:
        self._site.ended(run)
        self._report.ended(run, Status(self._runs, self._site.room.count, stopping=False))
