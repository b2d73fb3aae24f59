"""The parts of `sweep` that need no process: places, the estimate of its end, seeds as one row, the table's columns."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from tests.support.commands import Run
from tests.support.fake_run import make_run
from tui_vae import main_memory
from tui_vae.cli.sweep import places as places_module
from tui_vae.cli.sweep.columns import ASCII, Signs, columns_for, total_width
from tui_vae.cli.sweep.detached import attached
from tui_vae.cli.sweep.estimate import last_end, seconds_left
from tui_vae.cli.sweep.places import LOOKS, Place, places_for
from tui_vae.cli.sweep.plan import plan
from tui_vae.cli.sweep.report import Status
from tui_vae.cli.sweep.run import SweepRun, Throughput
from tui_vae.cli.sweep.table import TableReport, shown_runs
from tui_vae.config import RunConfig, make_config
from tui_vae.errors import UserError
from tui_vae.main_memory import free_main_memory
from tui_vae.runs import events as ev
from tui_vae.runs.comparison import FIGURES, LOSS, Candidate
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.seed_groups import best_groups, seed_groups


def epoch(number: int, **figures: float) -> ev.EpochEvent:
    usual = ev.Metrics(loss=1.0, recon=1.0, kl=2.0, mse=0.01, accuracy=0.9, elbo_bpd=7.0, active_units=3)
    test = msgspec.structs.replace(usual, **figures)
    return ev.EpochEvent(epoch=number, step=number * 10, seconds=1.0, images_per_s=1.0, train=test, test=test)


def runs_of(given: dict[str, list[Any]]) -> list[SweepRun]:
    return [SweepRun(number, each, RunDirectory(Path("/nowhere") / str(each.name)))
            for number, each in enumerate(plan({}, given), start=1)]  # fmt: skip


# -- Where runs train --------------------------------------------------------------------------------------------------


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int = 0) -> None:
    monkeypatch.setattr(places_module, "cores_to_use", lambda: cores)
    monkeypatch.setattr(places_module, "cuda_devices", lambda: gpus)
    monkeypatch.setattr(places_module, "free_main_memory", lambda: 64 << 30)


def asked(**settings: Any) -> list[RunConfig]:
    return [make_config({**settings, "beta": beta}) for beta in range(1, 9)]


def test_a_cpu_has_a_run_a_core_with_one_thread_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cores=4)
    assert places_for(asked(), None).free == [Place(threads=1)] * 4
    assert places_for(asked()[:3], None).count == 3
    assert places_for(asked(threads=2), None).count == 2
    assert places_for(asked(threads=9), None).count == 1
    assert places_for(asked(device="cpu"), None).free == [Place("cpu", threads=1)] * 4
    assert places_for(asked(), 2).free == [Place(threads=2)] * 2
    assert places_for(asked(), 1).free == [Place()]
    monkeypatch.setattr(places_module, "free_main_memory", lambda: 3 << 30)
    assert places_for(asked(), None).count == 3
    (tmp_path / "large.npz").write_bytes(bytes((1 << 30) // 6))  # half a GiB in memory
    assert places_for(asked(dataset=str(tmp_path / "large.npz")), None).count == 2
    monkeypatch.setattr(places_module, "free_main_memory", lambda: 0)
    assert places_for(asked(), None).count == 1


def test_the_cores_are_those_that_every_limit_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert places_module.cores_to_use() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.setattr("tui_vae.core.core_limits.usable_core_numbers", lambda: frozenset({0}))
    assert places_module.cores_to_use() == 1


def test_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_memory, "CONTAINER", tmp_path)
    assert free_main_memory() > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("70\n")
    assert free_main_memory() > 100
    (tmp_path / "memory.max").write_text("100\n")
    assert free_main_memory() == 30
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50\n")  # files give way to whoever needs room
    assert free_main_memory() == 80


def test_gpus_begin_with_one_run_each_and_get_more_where_they_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cores=3, gpus=2)
    monkeypatch.setattr(places_module, "LOOK_EVERY", 0.0)
    assert [place.device for place in places_for(asked(), 3).free] == ["cuda:0", "cuda:1", "cuda:0"]
    places, runs = places_for(asked(), None), runs_of({"beta": [1.0, 2.0, 3.0]})
    for run in runs[:2]:
        run.place = places.take("auto")
    assert [run.place and run.place.device for run in runs[:2]] == ["cuda:0", "cuda:1"]
    assert places.take("auto") is None

    def grown() -> list[str]:
        return [device for _ in range(4 * LOOKS) if (device := places.grow(runs[:2], lambda name: name == "cuda:1"))]

    assert grown() == []  # they do not train yet
    for run in runs[:2]:
        run.training_since = time.time() - 60
    assert grown() == ["cuda:1"]  # and no more while that place is free
    assert places.take("cuda:0") is None  # a run of this device waits for its own
    runs[2].place = places.take("cuda:7")  # one of a device that has no place goes where there is room
    assert runs[2].place == Place("cuda:1")
    assert grown() == []  # three cores are busy
    places.give_back(runs[2].place)
    assert places.count == 3


# -- When it ends ------------------------------------------------------------------------------------------------------


def test_the_end_is_that_of_the_last_run_in_its_turn() -> None:
    assert last_end([], [], 2) == 0
    assert last_end([5], [], 2) == 5
    assert last_end([5, 3], [4, 4], 2) == 9  # 3 + 4 beside 5 + 4
    assert last_end([5], [1, 1, 1, 1], 2) == 5
    assert last_end([], [3, 3, 3], 1) == 9


def test_runs_that_wait_are_expected_to_go_like_the_others() -> None:
    runs = runs_of({"beta": [1.0, 2.0, 3.0, 4.0], "epochs": [3], "batch_size": [100]})
    assert seconds_left(runs, 2) is None
    done, going, *_ = runs
    done.state, done.throughput, done.train_images = (
        "finished",
        Throughput(start_up=2.0, seconds=10.0, images=3000),
        1000,
    )
    going.state, going.throughput = "training", Throughput(start_up=2.0, seconds=5.0, images=1500)
    going._first, going._moment, going.total_steps, going.step = (0.0, 0), time.time(), 30, 15
    left = seconds_left(runs, 2)
    assert left is not None
    assert left == pytest.approx(5 + 12, abs=0.5)  # the third takes the free place for 12 s, the fourth follows `going`


# -- Seeds ------------------------------------------------------------------------------------------------------------


def candidate(beta: float, seed: int, mse: float, state: str = "finished", **settings: Any) -> Candidate:
    config = make_config({"name": f"r-{beta}-{seed}", "beta": beta, "seed": seed, **settings})
    return Candidate(str(config.name), state, config, 1, 1, epoch(1, mse=mse), 10, 1.0, 100)


MSE = next(figure for figure in FIGURES if figure.name == "mse")


def test_mean_and_spread_are_those_of_independent_arithmetic() -> None:
    values = np.random.default_rng(0).normal(0.01, 0.002, (2, 5))
    runs = [candidate(beta, seed, float(mse)) for beta, row in zip((1, 4), values, strict=True)
            for seed, mse in enumerate(row)]  # fmt: skip
    groups = seed_groups(runs, ["beta"])
    assert [group.settings for group in groups] == [(("beta", "1"),), (("beta", "4"),)]
    for group, row in zip(groups, values, strict=True):
        assert group.mean(MSE) == pytest.approx(row.mean(), rel=1e-12)
        assert group.spread(MSE) == pytest.approx(np.sqrt(((row - row.mean()) ** 2).sum() / (len(row) - 1)), rel=1e-12)
    assert best_groups(groups, MSE) == {int(values.mean(axis=1).argmin())}
    assert best_groups(groups, LOSS) == set()


def test_only_finished_runs_count_and_one_has_no_spread() -> None:
    runs = [candidate(1, 0, 0.01), candidate(1, 1, 9.0, "stopped"), replace(candidate(1, 2, 0.0), config=None)]
    (group,) = seed_groups(runs, ["beta"])
    assert (group.mean(MSE), group.spread(MSE), len(group.runs)) == (0.01, None, 2)
    assert seed_groups([candidate(1, 0, 0.01)], [])[0].settings == ()


def test_a_sweep_over_seeds_prints_a_row_for_each_combination(tui_vae: Run, own_runs: Path) -> None:
    for beta in (1, 4):
        for seed in (0, 1, 2):
            make_run(own_runs, f"sweep-beta-{beta}-seed-{seed}", epochs=1 + seed, planned=3, beta=beta, seed=seed)
    arguments = ("sweep", "--beta", "1,4", "--seed", "0,1,2", "--epochs", 3)
    code, out, err = tui_vae(*arguments)
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("beta ")] == [
        ["beta", "1", "3"], ["beta", "4", "3"]]  # fmt: skip
    assert out.count(" ± ") > 4
    first, second = json.loads(tui_vae(*arguments, "--json")[1])
    assert (first["settings"], first["n"], first["seeds"]) == ({"beta": "1"}, 3, [0, 1, 2])
    assert [run["name"] for run in second["runs"]] == [f"sweep-beta-4-seed-{seed}" for seed in (0, 1, 2)]
    figures = [run["test"]["mse"] for run in second["runs"]]
    assert second["mean"]["mse"] == pytest.approx(np.mean(figures))
    assert second["spread"]["mse"] == pytest.approx(np.std(figures, ddof=1), abs=1e-12)


# -- The table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [Signs(), ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 160, 240])
def test_the_columns_fit_and_say_which_run_it_is(width: int, signs: Signs) -> None:
    widths = [(512, 256), (1024, 512, 256)]
    many: dict[str, list[Any]] = {"latent_dim": [2, 128], "hidden": widths, "objective": ["mse"], "lr": [1e-3, 2e-4]}
    for given in (many, {"seed": list(range(30))}):
        runs = runs_of(given)
        runs[0].newest = epoch(3, mse=123456.789)
        columns = columns_for(runs, "sweep", [name for name in given if len(given[name]) > 1], signs, width)
        assert total_width(columns) <= width
        assert "state" in {column.head for column in columns}
        for column in columns:
            assert {len(column.cell(run)) for run in runs} == {len(column.heading())} == {column.width}
        if width >= 60:
            lines = {" ".join(column.cell(run).plain for column in columns[:3]) for run in runs}
            assert len(lines) == len(runs)
        if width >= 80:
            assert {"epoch", "bits/px"} <= {column.head for column in columns}


def test_what_is_under_way_or_failed_is_shown_first_in_order() -> None:
    runs = runs_of({"seed": list(range(100))})
    for run in runs[:50]:
        run.state, run.best = "finished", epoch(1, elbo_bpd=7.0 - run.number / 100)
    runs[7].state, runs[7].error = "failed", UserError("it diverged")
    for run in runs[50:54]:
        run.state = "training"
    shown = [run.number for run in shown_runs(runs, 10)]
    assert shown == [8, *range(48, 51), *range(51, 55), 55, 56]
    assert shown_runs(runs, 100) == runs


def test_the_table_stays_in_its_place_and_repaints_only_what_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import pyte

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    stream, runs = Screen(), runs_of({"beta": [1.0, 4.0]})
    table = TableReport(runs, places_for(asked(), 2), "sweep", ["beta"], stream)
    monkeypatch.setattr("tui_vae.cli.sweep.table.REDRAW_EVERY", 0.0)
    screen = pyte.Screen(80, 24)
    terminal = pyte.Stream(screen)

    def sent() -> str:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        terminal.feed(text.replace("\n", "\r\n"))
        return text

    status = Status(runs, 2, stopping=False)
    table.show(status)
    whole = len(sent())
    before = [line.rstrip() for line in screen.display]
    runs[1].state, runs[1].newest = "training", epoch(3, elbo_bpd=6.789)
    table.show(status)
    assert len(sent()) < whole / 2
    after = [line.rstrip() for line in screen.display]
    changed = [at for at, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert len(changed) == 1
    assert "training" in after[changed[0]] and "6.789" in after[changed[0]]
    table.show(Status(runs, 2, stopping=True))  # which changes the title, as wide as the terminal, and nothing else
    sent()
    terminal.feed("^C")  # as a terminal shows it
    table.show(status)
    sent()
    assert [line.replace("^C", "").rstrip() for line in screen.display] == after
    runs[0].state, runs[0].error = "failed", UserError("it diverged", "lower the rate")
    table.ended(runs[0], status)
    table.show(status)
    sent()
    lines = [line.rstrip() for line in screen.display]
    assert lines[0] == "1/2 sweep-beta-1: failed: it diverged; lower the rate"
    assert "1 failed" in lines[1] and "failed" in lines[changed[0]]
    assert "training" in lines[changed[0] + 1] and "6.789" in lines[changed[0] + 1]  # before, it fell back
    table.close(keep=False)
    sent()
    assert [line.rstrip() for line in screen.display if line.strip()] == lines[:1]
    assert Console(file=stream).is_terminal


def test_the_words_of_a_background_sweep_lack_only_detach() -> None:
    words = ["sweep", "--beta", "1,4", "--detach", "--device", "cpu", "--det"]
    assert attached(words) == ["sweep", "--beta", "1,4", "--device", "cpu"]
