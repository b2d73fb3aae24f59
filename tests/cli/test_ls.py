"""`ls`: a row a run."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.fake_run import make_run
from tests.support.processes import Trained
from tui_vae import config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.ui.numbers import age


def test_ls_lists_the_runs(tui_vae: Run, trained: Trained, own_runs: Path) -> None:
    code, out, err = tui_vae("ls")
    assert (code, err) == (0, "")
    assert "tui-vae train" in out
    assert tui_vae("ls", "--json") == (0, "[]\n", "")

    create_run(Path(trained.runs_dir), config.make_config({"name": "untrained"}))
    try:
        code, out, _ = tui_vae("ls", "--json", "--runs-dir", trained.runs_dir)
        runs = {run["name"]: run for run in json.loads(out)}
        code, table, _ = tui_vae("ls", "--runs-dir", trained.runs_dir)
    finally:
        (Path(trained.runs_dir) / "untrained" / "config.toml").unlink()
    last = json.loads(trained.stdout.splitlines()[-1])["test"]
    wanted = {"name": "done", "state": "finished", "epochs": 3, "planned": 3, "test_loss": last["loss"],
              "mse": last["mse"], "kl": last["kl"], "active_units": last["active_units"], "device": "cpu"}  # fmt: skip
    assert wanted.items() <= runs["done"].items()
    assert runs["done"]["age"] >= 0
    assert (runs["untrained"]["epochs"], runs["untrained"]["mse"]) == (0, None)
    (row,) = [line for line in table.splitlines() if line.startswith("done")]
    assert row.split()[:5] == ["done", "finished", "3/3", f"{last['loss']:.2f}", f"{last['mse']:.5f}"]


def test_ls_says_why_a_run_failed(tui_vae: Run, own_runs: Path) -> None:
    log = ev.EventLog(make_run(own_runs, "full", epochs=1).events)
    log.write(ev.StateEvent(state="failed", reason="the device has no memory left for this run"))
    log.close()
    _, table, _ = tui_vae("ls")
    assert table.splitlines()[-1] == "full failed: the device has no memory left for this run"
    (listed,) = json.loads(tui_vae("ls", "--json")[1])
    assert listed["reason"] == "the device has no memory left for this run" and listed["readable"]


def test_an_age_counts_whole_units_as_in_the_app(tui_vae: Run, own_runs: Path) -> None:
    directory = make_run(own_runs, "old", epochs=1)
    then = time.time() - 1.7 * 3600
    os.utime(directory.events, (then, then))
    _, table, _ = tui_vae("ls")
    assert table.splitlines()[-1].endswith(f" {age(1.7 * 3600)}") and age(1.7 * 3600) == "1 h"


def test_ls_is_as_wide_as_a_terminal_whatever_the_figures(tui_vae: Run, own_runs: Path) -> None:
    directory = make_run(own_runs, "wild", epochs=1)
    huge = ev.Metrics(1e308, 1e308, -1e308, 1e308, 1e308, 1e308, 2**53)
    log = ev.EventLog(directory.events)
    log.write(ev.EpochEvent(epoch=2, step=470, seconds=1, images_per_s=1, train=huge, test=huge))
    line = ev.encode_line(ev.EpochEvent(epoch=3, step=705, seconds=1, images_per_s=1, train=huge, test=huge))
    with directory.events.open("ab") as file:
        file.write(line.replace(b'"epoch":3', b'"epoch":3' + b"0" * 300))
    code, table, err = tui_vae("ls")
    assert (code, err) == (0, "")
    (row,) = [line for line in table.splitlines() if line.startswith("wild")]
    assert len(row) < 100
    assert row.split()[2:7] == ["2/10", "1e+308", "1e+308", "-1e+308", "9.01e+15"]


def test_a_run_that_is_deleted_while_ls_reads_is_left_out(
    tui_vae: Run, own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(own_runs, "stays", epochs=1)
    gone = make_run(own_runs, "gone", epochs=1)

    def deleted_once_listed(runs_dir: Path) -> list[RunDirectory]:
        found = list_runs(runs_dir)
        shutil.rmtree(gone.path)
        return found

    monkeypatch.setattr("tui_vae.cli.ls.list_runs", deleted_once_listed)
    code, out, err = tui_vae("ls", "--json")
    assert (code, err) == (0, "") and [run["name"] for run in json.loads(out)] == ["stays"]
