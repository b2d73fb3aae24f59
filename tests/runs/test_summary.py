"""One line about each run, from the ends of its log."""

import dataclasses
import io
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.log_events import epoch_event, logged, run_event, step_event
from tests.support.processes import events
from tui_vae.runs import events as ev
from tui_vae.runs import summary
from tui_vae.runs.history import read_history
from tui_vae.runs.lock import RunLock
from tui_vae.runs.summary import summarize


def test_a_summary_tells_the_newest_figures(own_runs: Path) -> None:
    state = ev.StateEvent(state="finished")
    run = summarize(logged(own_runs, run_event(epochs=3), epoch_event(1, 5.0), epoch_event(2, 4.0), state))
    assert (run.name, run.state, run.epochs, run.planned) == ("fashion-1", "finished", 2, 3)
    assert (run.test_loss, run.mse, run.kl, run.active_units, run.device) == (4.0, 0.25, 3, 7, "cpu")
    assert 0 <= run.age < 60
    lost = epoch_event(1)
    lost = msgspec.structs.replace(lost, test=msgspec.structs.replace(lost.test, kl=float("nan"), active_units=0))
    assert summarize(logged(own_runs, run_event(), lost)).active_units is None
    assert summarize(logged(own_runs)).state == "crashed"
    assert summarize(logged(own_runs, run_event(), ev.StateEvent(state="training"))).state == "crashed"


def damaged(event: ev.AnyEvent, **fields: object) -> bytes:
    """The line of an event in which some numbers are others."""
    return json.dumps({**json.loads(ev.encode_line(event)), **fields}).encode() + b"\n"


DAMAGED = {
    "brackets": b'{"kind":"state","x":' + b"[" * 100_000 + b"\n",
    "step of 401 digits": damaged(step_event(35), step=10**400),
    "step of 20 digits": damaged(step_event(35), step=10**19),
    "step below 0": damaged(step_event(35), step=-35),
    "epoch below 0": damaged(epoch_event(3), epoch=-3),
    "epochs of 301 digits": damaged(run_event(), epochs=10**300),
    "active units below 0": damaged(epoch_event(3), test={**msgspec.to_builtins(epoch_event(3).test),
                                                          "active_units": -1}),
    "no moment": damaged(ev.StateEvent(state="stopped"), t=1e300),
}  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_line_that_no_trainer_has_written_is_as_if_it_were_not_there(own_runs: Path, line: bytes) -> None:
    normal: list[ev.AnyEvent] = [
        run_event(), ev.StateEvent(state="training"), *many_steps(1, 30), epoch_event(1), epoch_event(2, 3.0),
        ev.StateEvent(state="finished"),
    ]  # fmt: skip
    whole, odd = logged(own_runs, *normal), logged(own_runs)
    odd.events.write_bytes(b"".join(ev.encode_line(event) + line for event in normal))
    os.utime(odd.events, ns=(0, whole.events.stat().st_mtime_ns))
    assert [event for event in events(odd) if event not in normal] == []
    one, other = read_history(whole.events), read_history(odd.events)
    assert other.epochs == one.epochs and other.steps.columns == one.steps.columns
    assert (other.run, other.state, other.best) == (one.run, one.state, one.best)
    first, second = (dataclasses.replace(summarize(run), name="", age=0) for run in (whole, odd))
    assert first == second


def many_steps(first: int, count: int) -> list[ev.StepEvent]:
    return [step_event(step) for step in range(first, first + count)]


def test_the_summary_of_a_long_epoch_still_knows_the_last_one(own_runs: Path) -> None:
    """On a slow machine minutes of step events come after the newest epoch event; ten a second, 2 kB."""
    directory = logged(own_runs, run_event(), ev.StateEvent(state="training"), *many_steps(1, 3000),
                       epoch_event(1, 5.0, 3000), *many_steps(3001, 2999), epoch_event(2, 4.0, 6000),
                       *many_steps(6001, 2500))  # fmt: skip
    run = summarize(directory)
    assert (run.epochs, run.test_loss) == (2, 4.0)


def test_the_summary_of_a_run_that_was_paused_long_ago_says_that_it_trains(own_runs: Path) -> None:
    directory = logged(own_runs, run_event(), ev.StateEvent(state="training"), ev.StateEvent(state="paused"),
                       *many_steps(1, 700), ev.StateEvent(state="training"), *many_steps(701, 3000),
                       epoch_event(1))  # fmt: skip
    lock = RunLock(directory, "train")
    assert summarize(directory).state == "training"
    lock.release()
    assert summarize(directory).state == "crashed"


def test_the_summary_of_a_huge_log_reads_only_its_ends(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size if size is not None and size >= 0 else sys.maxsize)
            return super().read(size)

    read: list[int] = []
    directory = logged(own_runs, run_event(epochs=42))
    with directory.events.open("r+b") as log:
        log.seek(8 << 30)  # a sparse file
        log.write(b"\n" + ev.encode_line(epoch_event(41)) + ev.encode_line(ev.StateEvent(state="stopped")))
    monkeypatch.setattr("tui_vae.runs.summary.open_to_read", lambda path: Counted(io.FileIO(path)))
    run = summarize(directory)
    assert 0 < sum(read) < 8 << 20
    assert (run.state, run.epochs, run.planned) == ("stopped", 41, 42)


def test_summaries_have_what_ls_promises() -> None:
    fields = {field.name for field in dataclasses.fields(summary.RunSummary)}
    assert {"name", "state", "epochs", "test_loss", "mse", "kl", "active_units", "device", "age"} <= fields
