"""A clock that jumps by years, to and fro, while a run is trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import command, finish
from tests.support.training import new_run, same
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.launch import trainer_environment
from tui_vae.trainer.checkpoints import load_checkpoint
from tui_vae.ui.train.figures import MEASURES
from tui_vae.ui.train.run_curves import RunCurves

JUMPING = """
import random, runpy, sys, time
real, dice = time.time, random.Random(3)
time.time = lambda: max(0.0, real() + dice.choice((0, 1, -1)) * dice.uniform(0, 20 * 365 * 86400))
sys.argv = ["trainer", sys.argv[1]]
runpy.run_module("tui_vae.trainer", run_name="__main__")
"""
STEADY = JUMPING.replace("time.time = ", "unused = ")


def trained(directory: RunDirectory, code: str) -> RunDirectory:
    done = subprocess.run([sys.executable, "-c", code, str(directory.path)], env=trainer_environment(), timeout=120)
    assert done.returncode == 0
    return directory


@pytest.mark.long
def test_a_clock_that_jumps_by_years_changes_no_weight_and_no_reader_fails(own_runs: Path) -> None:
    jumping = trained(new_run(own_runs, name="jumping", epochs=30), JUMPING)
    steady = trained(new_run(own_runs, name="steady", epochs=30), STEADY)
    assert same(load_checkpoint(jumping.last)[1], load_checkpoint(steady.last)[1])
    one, other = read_history(jumping.events), read_history(steady.events)
    assert [(event.epoch, event.test) for event in one.epochs] == [(event.epoch, event.test) for event in other.epochs]
    assert max(event.t for event in one.epochs) - min(event.t for event in one.epochs) > 10 * 365 * 86400
    RunCurves(MEASURES).read(one)
    code, out, err = finish(command("ls"))
    assert code == 0 and out.count("finished") == 2, err
