"""All runs of a directory as the Runs pane knows them: their records, and which of them are marked."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from pathlib import Path

from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.run_records import Ledger, Record
from tui_vae.runs.safe_files import reason
from tui_vae.runs.summary import UNREADABLE, started
from tui_vae.ui.runs.marks import Marks


class Library:
    """All runs of a directory, and which of them are marked. One thread at a time updates it."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self.marks = Marks()
        self.records: tuple[Record, ...] = ()
        self._ledgers: dict[Path, Ledger] = {}
        self._unread: dict[Path, Record] = {}
        self._one_at_a_time = threading.Lock()

    def update(self, seconds: float) -> bool:
        """Look at all runs and read what is new in their logs, the newest first, for `seconds` at most.

        Returns whether everything has been read.
        """
        with self._one_at_a_time:
            deadline = time.monotonic() + seconds
            try:
                runs = list_runs(self.runs_dir)
            except OSError:
                return False  # the folder cannot be read at the moment: the caller looks again
            found = [self._look(run, deadline) for run in runs]
            records = [record for record, _ in found if record is not None]
            known = {record.path for record in records}
            for path in self._ledgers.keys() - known:
                del self._ledgers[path]
            self.records = tuple(records)
            return all(whole for _, whole in found)

    def _look(self, run: RunDirectory, deadline: float) -> tuple[Record | None, bool]:
        """A run's record, and whether its log has been read to the end; None for a run that has just been deleted."""
        try:
            if why := run.why_unreadable():
                return self._unreadable(run, why)
            facts = _facts(run)
            ledger = self._ledgers.get(run.path)
            if (ledger is None or ledger.is_outdated(facts)) and time.monotonic() < deadline:
                ledger = self._ledgers[run.path] = Ledger(run, facts)
            while ledger is not None and not ledger.is_up_to_date(facts) and time.monotonic() < deadline:
                ledger.read(facts)
            if ledger is not None and ledger.complete:
                self._unread.pop(run.path, None)
                return ledger.record(facts.st_mtime), ledger.is_up_to_date(facts)
            if run.path not in self._unread:
                self._unread[run.path] = Record(run, started=started(run), changed=facts.st_mtime)
            return self._unread[run.path], False
        except OSError as error:
            return self._unreadable(run, reason(error))

    def _unreadable(self, run: RunDirectory, why: str) -> tuple[Record | None, bool]:
        changed = run.changed()
        self._ledgers.pop(run.path, None)
        return Record(run, None, changed, UNREADABLE, note=why) if changed is not None else None, True


def _facts(run: RunDirectory) -> os.stat_result:
    """The status of the log file, or of the directory of a run that has none yet."""
    try:
        return os.stat(run.events)
    except FileNotFoundError:
        return os.stat(run.path)


@cache
def library(runs_dir: Path) -> Library:
    """The one library of a directory. It outlives the panes: marks and records stay when another run is opened."""
    return Library(runs_dir)
