"""What is wrong with a run, and what was changed while it trained, is seen wherever runs are listed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.log_events import epoch_event, logged, metrics, run_event
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.health import health
from tui_vae.runs.history import read_history
from tui_vae.runs.run_records import Ledger
from tui_vae.runs.steering import read_steering
from tui_vae.runs.summary import summarize

FINISHED = ev.StateEvent(state="finished")


def epoch(number: int, step: int, **figures: Any) -> ev.EpochEvent:
    found = metrics(**{"loss": 5.0, **figures})
    return ev.EpochEvent(epoch=number, step=step, seconds=1, images_per_s=1, train=found, test=found)


def ls(runs_dir: Path, *options: str) -> str:
    command = [sys.executable, "-P", "-m", "tui_vae", "ls", "--runs-dir", str(runs_dir), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("newest", "said", "state", "expected"),
    [
        (epoch(1, 30), [], "finished", ()),
        (epoch(1, 30, active_units=0), [], "finished", ("collapsed",)),
        (epoch(1, 30, active_units=0), [], "training", ()),  # it may not have begun to
        (epoch(1, 300, active_units=0), [], "training", ("collapsed",)),
        (epoch(1, 300, active_units=4), [], "stopped", ("idle units",)),
        (epoch(1, 300, loss=None, active_units=0), [], "failed", ("diverged",)),
        (epoch(9, 300), ["overfitting: from epoch 3 to …"], "training", ("overfitting",)),
        (epoch(9, 300), ["the disk is nearly full"], "training", ()),
        (None, ["the weights diverged in epoch 1: …"], "failed", ("diverged",)),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_word(
    newest: ev.EpochEvent | None, said: list[str], state: str, expected: tuple[str, ...]
) -> None:
    assert health(newest, said, state) == expected


def both(directory: RunDirectory) -> tuple[tuple[str, ...], ...]:
    facts = directory.events.stat()
    ledger = Ledger(directory, facts)
    ledger.read(facts)
    return summarize(directory).health, ledger.record(0).health, read_history(directory.events).health("finished")


def test_lists_headers_and_records_agree(own_runs: Path) -> None:
    start, again = run_event(step=0, epochs=2), run_event(step=600, epochs=3)
    for event in (start, again):
        event.config["latent-dim"] = 32
    warning = ev.WarningEvent(message="overfitting: …")
    directory = logged(own_runs, start, epoch(1, 300), warning, epoch(2, 600, active_units=0), FINISHED)
    assert both(directory) == (("overfitting", "collapsed"),) * 3
    assert "finished, overfitting, collapsed" in ls(own_runs)
    assert json.loads(ls(own_runs, "--json"))[0]["health"] == ["overfitting", "collapsed"]
    with directory.events.open("ab") as log:  # a resume that mended it
        log.writelines(ev.encode_line(event) for event in (again, epoch(3, 900), FINISHED))
    assert both(directory) == ((),) * 3


def test_a_run_says_how_it_was_steered_and_not_what_a_resume_undid(own_runs: Path) -> None:
    def change(command: str, before: float, value: float, step: int) -> ev.ControlEvent:
        return ev.ControlEvent(command=command, value=value, before=before, epoch=1 + step // 10, step=step)

    directory = logged(
        own_runs, run_event(step=0), change("set beta", 1, 1.56, 40), change("checkpoint", 0, 0, 41),
        epoch_event(5, step=50), change("set lr", 0.002, 0.001, 60), run_event(step=50),
        change("set lr", 0.002, 0.0005, 70), FINISHED,
    )  # fmt: skip
    assert [str(each) for each in read_steering(directory)] == ["β 1 → 1.56 @ epoch 5", "lr 0.002 → 0.0005 @ epoch 8"]
    assert json.loads(ls(own_runs, "--json"))[0]["steered"] == [
        {"command": "set beta", "from": 1.0, "to": 1.56, "epoch": 5, "step": 40},
        {"command": "set lr", "from": 0.002, "to": 0.0005, "epoch": 8, "step": 70},
    ]
    facts = directory.events.stat()
    ledger = Ledger(directory, facts)
    ledger.read(facts)
    assert list(ledger.record(0).steered) == read_steering(directory)
    other = logged(own_runs, run_event(step=0), FINISHED)
    command = [
        sys.executable,
        "-P",
        "-m",
        "tui_vae",
        "compare",
        directory.name,
        other.name,
        "--runs-dir",
        str(own_runs),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "β 1 → 1.56 @ epoch 5, lr 0.002 → 0.0005 @ epoch 8" in shown
