"""Runs: sorting, filtering, sparklines and differences; marking, comparing, opening, renaming, deleting, continuing."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support.fake_run import FakeProcess, figures_after, make_run
from tests.support.piloting import in_event_loop, notifications, until
from tui_vae.config import make_config, option_name, options
from tui_vae.runs import events as ev
from tui_vae.runs import launch
from tui_vae.runs.comparison import differences, whole, why_incomparable
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
from tui_vae.runs.manage import read_note
from tui_vae.runs.run_records import Figures, Record
from tui_vae.runs.summary import summarize
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts.sparkline import sparkline
from tui_vae.ui.commands import commands
from tui_vae.ui.dialogs import Confirm
from tui_vae.ui.glyphs import ASCII, UNICODE
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.runs.all_runs import Library
from tui_vae.ui.runs.columns import (
    COLUMNS,
    COMPARABLE,
    NAMED,
    best_of,
    columns_for,
    matches,
    next_column,
    sort,
)
from tui_vae.ui.runs.comparison import Comparison
from tui_vae.ui.runs.groups import Row
from tui_vae.ui.runs.overlay_chart import OverlayChart
from tui_vae.ui.runs.pane import RunsPane
from tui_vae.ui.runs.table import RunsTable
from tui_vae.ui.settings import read_preferences


def record(name: str, loss: float | None = None, **facts: object) -> Record:
    best = None if loss is None else Figures(1, 10, loss, 1.0, 2.0, 0.01, 7.0, 8)
    return replace(Record(RunDirectory(Path("/runs") / name), None, 0.0, best=best), **facts)  # type: ignore[arg-type]


def names(records: Sequence[Row]) -> list[str]:
    return [each.name for each in records]


def test_runs_without_a_value_stand_at_the_end_either_way() -> None:
    runs = [record("b", -5.0), record("none"), record("a", 3.0), record("c", float("-inf"))]
    assert names(sort(runs, NAMED["loss"], False)) == ["c", "b", "a", "none"]
    assert names(sort(runs, NAMED["loss"], True)) == ["a", "b", "c", "none"]
    assert names(sort(runs, NAMED["name"], True)) == ["none", "c", "b", "a"]
    newest_first = sort([record("old", started=1.0), record("new", started=2.0)], NAMED["started"], False)
    assert names(newest_first) == ["new", "old"]


def test_the_key_that_sorts_stays_among_the_columns_on_screen() -> None:
    shown = [column for column, _ in columns_for(72, 20)]
    assert [column.name for column in shown] == ["name", "state", "epochs", "loss", "mse", "age"]
    assert next_column(NAMED["started"], 1, shown) is NAMED["name"]
    assert next_column(NAMED["age"], 1, shown) is NAMED["name"] and next_column(NAMED["name"], -1, shown).name == "age"


@pytest.mark.parametrize("width", [30, 60, 72, 112, 153, 300])
@pytest.mark.parametrize("longest", [3, 30, 64])
def test_columns_fit(width: int, longest: int) -> None:
    columns = columns_for(width, longest)
    assert sum(column.lead + cells + 2 * column.left for column, cells in columns) <= width
    if width >= 153:  # 160 columns on screen
        left_out = {column.name for column in COLUMNS} - {column.name for column, _ in columns}
        assert left_out <= {"note", "steered", "health"}


def test_the_filter_takes_words_and_options() -> None:
    run = record("base-2", state="finished", note="The good one", config=make_config({"latent-dim": 8}))
    for text in ("", "BASE", "fin good", "latent-dim=8", "latent=8", "base latent-dim="):
        assert matches(run, text), text
    for text in ("base 3", "latent-dim=9", "latent-dim=8 crashed", "8"):
        assert not matches(run, text), text


def test_a_sparkline_falls_from_the_highest_to_the_lowest() -> None:
    line = sparkline([8.0, 4.0, 2.0, None, 1.0], 10, UNICODE)
    assert (line[0], line[-1], len(line)) == ("█", "▁", 5) and line[3] == " "
    assert len(sparkline([float(n) for n in range(1000)], 12, UNICODE)) == 12
    assert sparkline([], 5, UNICODE) == "" and sparkline([2.0, 2.0], 5, UNICODE) == "▁▁"
    assert sparkline([3.0, 2.0, 1.0], 5, ASCII).isascii()


def test_only_what_differs_is_compared() -> None:
    one, other = make_config({"name": "a", "lr": 1e-3}), make_config({"name": "b", "lr": 1e-3, "hidden": (64,)})
    found = differences([one, other, None])
    assert [(each.name, each.values) for each in found] == [("hidden", ("512,256", "64", None))]
    assert differences([one, replace(one, name="c")]) == []


def test_alone_a_run_is_told_in_whole_with_what_was_changed_first() -> None:
    rows = whole(make_config({"preset": "seed", "latent-dim": 8, "lr": 5e-4}))
    changed = [(each.name, each.values) for each in rows if not each.same]
    assert changed == [("latent-dim", ("8", "20")), ("lr", ("0.0005", "0.001"))]
    assert [each.name for each in rows[:2]] == ["latent-dim", "lr"]
    assert {each.name for each in rows} == {option_name(name) for name in options()} - {"name", "preset"}


def test_the_best_of_several_runs_stands_out() -> None:
    good, bad = trained("good", 0.01), trained("bad", 0.03)
    assert best_of([good, bad, record("none")], NAMED["mse"]) == 0.01
    assert best_of([good], NAMED["mse"]) is None
    assert best_of([good, trained("other", 0.03, objective="bce", beta=4.0)], NAMED["mse"]) == 0.01


def trained(name: str, mse: float, test_images: int = 10_000, **options: object) -> Record:
    figures = Figures(1, 1, loss=-5.0, recon=1.0, kl=1.0, mse=mse, elbo_bpd=7.0, active_units=3)
    return record(name, best=figures, config=make_config(options), test_images=test_images)


@pytest.mark.parametrize(
    "other",
    [
        trained("limited", 0.03, test_limit=500),
        trained("own-images", 0.03, data_dir="/elsewhere"),
        trained("bundled-sample", 0.03, test_images=1000),
        replace(trained("unreadable", 0.03), config=None),
    ],
    ids=lambda record: record.name,
)
def test_no_figure_is_the_best_across_test_sets(other: Record) -> None:
    for column in COMPARABLE:
        assert best_of([trained("good", 0.01), other], NAMED[column]) is None, column


def test_of_runs_only_losses_depend_on_the_objective() -> None:
    one, other = trained("one", 0.01), trained("other", 0.01, kl_warmup=2.0)
    assert why_incomparable([one, other], is_loss=True) == "objectives differ"
    assert why_incomparable([one, other], is_loss=False) == ""
    assert why_incomparable([one, trained("few", 0.01, test_limit=10)], is_loss=False) == "test sets differ"


def test_a_run_continued_from_the_app_leaves_it_a_core(tmp_path: Path) -> None:
    run = make_run(tmp_path, "old")
    with mock.patch.object(launch, "start_training") as start:
        asyncio.run(RunsPane._resume(run, 5))
    assert start.call_args.args[:3] == (run, 5, True)


def test_a_run_that_waits_in_the_queue_is_the_newest(tmp_path: Path) -> None:
    make_run(tmp_path, "old", t=1000.0)
    waiting, _ = create_run(tmp_path, make_config({"name": "waiting"}))
    log = ev.EventLog(waiting.events)
    log.write(ev.StateEvent(t=2000.0, state="queued", after="old", reason="begins when old has ended"))
    log.close()
    shelf = Library(tmp_path)
    assert shelf.update(5)
    assert names(sort(shelf.records, NAMED["started"], reverse=False)) == ["waiting", "old"]


def test_the_library_reads_only_what_is_new_and_counts_training_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, "one", epochs=3, t=1000.0)
    shelf = Library(tmp_path)
    assert not shelf.update(0) and names(list(shelf.records)) == ["one"] and not shelf.records[0].curve
    assert shelf.update(5)
    first = shelf.records[0]
    assert (first.epochs, first.planned, first.state, first.started) == (3, 10, "finished", 991.0)
    assert first.best is not None and first.best.epoch == 3 and first.seconds == pytest.approx(9.0)
    log = ev.EventLog(run.events)
    facts = ev.DatasetFacts("fashion-mnist", "here", 1, 1)
    log.write(ev.RunEvent(t=5000, name="one", config={}, device="cpu", dataset=facts, parameters=1, versions={},
                          step=470, epochs=20, steps_per_epoch=235))  # fmt: skip
    log.write(ev.StateEvent(t=5001, state="training"))
    log.write(
        ev.EpochEvent(
            t=5003, epoch=3, step=705, seconds=2, images_per_s=1, train=figures_after(0), test=figures_after(0)
        )
    )
    assert shelf.update(5)
    second = shelf.records[0]
    assert second.curve[:2] == first.curve[:2] and len(second.curve) == 3  # epoch 3 was lost, and made again
    assert second.best is not None and second.best.epoch == 2 and second.planned == 20
    assert second.seconds == pytest.approx(11.0) and second.state == "crashed"
    summary = summarize(run)
    assert (summary.started, summary.dataset, summary.elbo_bpd) == (991.0, "fashion-mnist", figures_after(0).elbo_bpd)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunDirectory]:
    """`new`, `middle` and `old`, begun in that order backwards; the newest is on screen."""
    made = []
    for age, name in enumerate(("new", "middle", "old")):
        made.append(make_run(tmp_path, name, epochs=4 - age, t=time.time() - 100 * age))
    config = made[1].read_config()
    made[1].config.write_text(made[1].config.read_text().replace("latent-dim = 32", "latent-dim = 8"))
    assert made[1].read_config() == replace(config, latent_dim=8)
    made[2].config.write_text(made[2].config.read_text().replace("beta = 1.0", "beta = 4.0"))
    return made


async def shown(app: TuiVae, pilot: Pilot[str]) -> RunsPane:
    """Open the pane and wait until it has read everything."""
    await pilot.press("4")
    await until(pilot, lambda: bool(app.screen.query(RunsPane)))
    pane = app.screen.query_one(RunsPane)
    await until(pilot, lambda: len(pane.rows) == 3 and all(each.curve for each in pane.rows) and pane._ready)
    await pilot.pause()
    return pane


def text(pane: RunsPane, kind: type[RunsTable] | type[OverlayChart]) -> str:
    widget = pane.query_one(kind)
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


@in_event_loop
async def test_marks_overlay_curves_and_compare_configs(runs: list[RunDirectory]) -> None:
    app = TuiVae(runs[0].path.parent, runs[0])
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(app, pilot)
        assert names(pane.rows) == ["new", "middle", "old"]
        await pilot.press("m", "down", "m")
        await pilot.pause()
        chart, table = text(pane, OverlayChart), text(pane, RunsTable)
        assert "● new" in chart and "■ middle" in chart and "● new" in table and "new ◂" in table
        compared = pane.query_one(Comparison).render().plain
        assert "latent-dim" in compared and "seed" not in compared
        await pilot.press("end", "m")  # its β is another one
        await until(pilot, lambda: "objectives differ" in text(pane, OverlayChart))
        await pilot.press("m", "up")
        await until(pilot, lambda: "differ" not in text(pane, OverlayChart))
        before = chart
        await pilot.press("y")
        assert "test reconstruction" in text(pane, OverlayChart) != before
        await pilot.press("greater_than_sign", "exclamation_mark")
        assert pane.sorted_by is not NAMED["started"] and pane.reversed
        chosen = pane.sorted_by
        await until(pilot, lambda: read_preferences().runs_sort == chosen.name and read_preferences().runs_reversed)
        await pilot.press("M")
        assert [each.name for each in pane.compared] == ["middle"]
        alone = pane.query_one(Comparison).render().plain.splitlines()
        assert alone[1].split() == ["latent-dim", "8", "32"]
        assert any(line.startswith("dataset") for line in alone)  # its whole description, what was changed first
        await pilot.click(RunsTable, offset=(12, 2))  # the first row, below the frame and the heads
        assert pane.cursor == pane.rows[0].path
        await pilot.click(RunsTable, offset=(6, 1))
        assert pane.sorted_by is NAMED["name"]
        found = commands(app, app.screen.active_bindings.values())
        assert all(command.tooltip for command in found)
        keys = [key for command in found for key in command.keys]
        assert len(keys) == len(set(keys))  # none takes another's place


@in_event_loop
async def test_in_a_small_terminal_curves_and_configs_take_turns(runs: list[RunDirectory]) -> None:
    app = TuiVae(runs[0].path.parent, runs[0])
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await shown(app, pilot)
        head = text(pane, RunsTable).splitlines()[0]
        assert head.split() == ["run", "state", "epochs", "best", "loss", "mse", "changed"]
        chart, configs = pane.query_one(OverlayChart), pane.query_one(Comparison)
        before = pane.lower
        await pilot.press("m", "down", "m")
        await pilot.pause()
        assert (before, pane.lower) == ("none", "curves") and chart.size.height > 8
        await pilot.press("v")
        assert configs.display and not chart.display
        await pilot.press("v")
        assert pane.lower == "none"


@in_event_loop
async def test_the_filter_takes_letters_that_are_keys_elsewhere(runs: list[RunDirectory]) -> None:
    app = TuiVae(runs[0].path.parent, runs[0])
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(app, pilot)
        await pilot.press("slash", *"mi")
        await until(pilot, lambda: names(pane.rows) == ["middle"])
        await pilot.press("enter", "m")
        assert pane.has_focus and pane.marks.marked == [runs[1].path]
        await pilot.press("slash", *"x")
        await until(pilot, lambda: not pane.rows)
        assert "no run matches x" in text(pane, RunsTable)
        await pilot.press("escape")
        await until(pilot, lambda: len(pane.rows) == 3)
        assert pane.has_focus and not pane.query_one("#runs-filter").display


@in_event_loop
async def test_delete_asks_and_refuses_a_living_run(runs: list[RunDirectory]) -> None:
    app = TuiVae(runs[0].path.parent, runs[0])
    lock = RunLock(runs[2], "train")
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(app, pilot)
        await pilot.press("end", "D")
        await until(pilot, lambda: any("is being trained" in message for message in notifications(app)))
        assert runs[2].path.exists() and app.screen.query(RunsPane)
        await pilot.press("up", "D")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("escape")
        assert runs[1].path.exists()
        await pilot.press("delete", "enter")  # the key that fingers press by themselves keeps it
        await pilot.pause(0.1)
        assert runs[1].path.exists() and app.screen.query(RunsPane)
        await pilot.press("delete", "y")
        await until(pilot, lambda: not runs[1].path.exists() and names(pane.rows) == ["new", "old"])
        lock.release()
        await pilot.press("home", "D")
        await pilot.press("y")  # the run on screen: another one takes its place
        await until(pilot, lambda: not runs[0].path.exists())
        await until(pilot, lambda: app.session is not None and app.session.name == "old")


@in_event_loop
async def test_a_run_is_renamed_and_noted(runs: list[RunDirectory]) -> None:
    app = TuiVae(runs[0].path.parent, runs[0])
    async with app.run_test(size=(160, 40)) as pilot:
        pane = await shown(app, pilot)
        await pilot.press("end", "m", "N", *"the best", "enter")
        await until(pilot, lambda: bool(pane.selected and pane.selected.note == "the best"))
        assert read_note(runs[2]) == "the best"
        await pilot.press("f2", "backspace", "enter", *"middle", "enter")  # refused, both: the dialog stays
        await pilot.press(*"-2", "enter")
        renamed = RunDirectory(runs[2].path.with_name("middle-2"))
        await until(pilot, lambda: renamed.path.exists() and "middle-2" in names(pane.rows))
        assert renamed.read_config().name == "middle-2" and read_note(renamed) == "the best"
        await until(pilot, lambda: pane.selected is not None and pane.selected.name == "middle-2")
        assert pane.marks.marked == [renamed.path]


@in_event_loop
async def test_opening_continuing_and_again(runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, int]] = []

    def start(run: RunDirectory, more: int = 0, leave: bool = False, warm: object = None, **rest: object) -> None:
        started.append((run.name, more))

    monkeypatch.setattr(launch, "start_training", start)
    app = TuiVae(runs[0].path.parent, runs[0])
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await shown(app, pilot)
        await pilot.press("down", "m", "R", *"5", "enter")
        await until(pilot, lambda: started == [("middle", 5)])
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await pilot.pause()
        form = app.screen
        assert isinstance(form, NewRun)
        assert form.query_one("#field-latent-dim Input", Input).value == "8"
        assert form._config() == replace(runs[1].read_config(), name=None)
        await pilot.press("escape")
        await pilot.press("enter")
        await until(pilot, lambda: app.session is not None and app.session.name == "middle")
        again = await shown(app, pilot)
        assert again is not pane and again.marks.marked == [runs[1].path]  # marks outlive the screen


@in_event_loop
async def test_the_table_follows_a_living_run(runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    update = mock.Mock(wraps=Library.update)
    monkeypatch.setattr(Library, "update", lambda self, seconds: update(self, seconds))
    monkeypatch.setattr("tui_vae.ui.runs.pane.REFRESH_SECONDS", 0.1)
    monkeypatch.setattr("tui_vae.ui.numbers.age", lambda seconds: "now")
    app = TuiVae(runs[0].path.parent, runs[0])
    with FakeProcess(runs[2], "train", step=705) as process:
        async with app.run_test(size=(120, 40)) as pilot:
            pane = await shown(app, pilot)
            process.log(ev.StateEvent(state="training"))
            await until(pilot, lambda: pane.rows[2].state == "training" and "training" in text(pane, RunsTable))
            process.log(
                ev.EpochEvent(
                    epoch=3, step=705, seconds=1, images_per_s=1, train=figures_after(9), test=figures_after(9)
                )
            )
            await until(pilot, lambda: "3/10" in text(pane, RunsTable).splitlines()[3])
            drawn = mock.Mock()
            monkeypatch.setattr(RunsTable, "refresh", drawn)
            enough = update.call_count + 4
            await until(pilot, lambda: update.call_count > enough)
            drawn.assert_not_called()  # an idle table sends nothing but its ages
