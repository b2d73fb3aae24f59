"""Charts of the user's own: any figure of the log, in as many rows and columns as they want, and remembered."""

import errno
import gc
import math
from pathlib import Path
from unittest import mock

import pytest

from tests.support.piloting import in_event_loop, notifications, opened, screen, seen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.epoch_details import EpochDetails
from tui_vae.runs.events import StepEvent
from tui_vae.runs.history import read_history
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts.widget import ChartWidget
from tui_vae.ui.train.choose_charts import ChooseCharts, FigureList
from tui_vae.ui.train.figures import FIGURES, USUAL, pages
from tui_vae.ui.train.pane import TrainPane
from tui_vae.ui.train.run_curves import RunCurves


def titles(app: TuiVae) -> list[str]:
    return [
        chart._state.title for chart in app.screen.query(ChartWidget) if chart._state and not chart.has_class("-off")
    ]


@in_event_loop
async def test_figures_and_grid_are_chosen_shown_and_remembered(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(160, 44)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: len(titles(app)) == 4)
        await pilot.press("y")
        assert isinstance(app.screen, ChooseCharts)
        listed = app.screen.query_one(FigureList)
        assert listed.shown == set(USUAL)
        listed.choose()
        await pilot.press("enter")
        assert "Choose one figure at least." in notifications(app)
        listed.choose("mse", "active_units", "lr")
        listed.highlighted = [figure.name for figure in FIGURES].index("sigma")
        await pilot.press("space")
        await pilot.press("right", "tab", *"0,2")
        assert "2 × 3 charts on a page" in screen(app)
        await pilot.press("enter")
        await seen(app, pilot, "KL of z 2")
        wanted = ["learning rate", "mse", "active units", "σ of a pixel", "KL of z 0", "KL of z 2"]
        await until(pilot, lambda: titles(app) == wanted)
        widths = {chart.size.width for chart in app.screen.query(ChartWidget)}
        assert len({chart.region.y for chart in app.screen.query(ChartWidget)}) == 2 and max(widths) < 40
        newest = read_history(run.events).epochs[-1].test
        await until(pilot, lambda: f"● {newest.mse:.5f}"[:8] in screen(app))
        await pilot.press("z", "z", "v", "v")
        await until(pilot, lambda: titles(app) == wanted)
    again = TuiVae(run.path.parent, run)
    async with again.run_test(size=(160, 44)) as pilot:
        await opened(again, pilot)
        await until(pilot, lambda: titles(again) == wanted)
        await pilot.press("y", "ctrl+r")
        await until(pilot, lambda: titles(again)[:2] == ["reconstruction", "KL"])


@in_event_loop
async def test_a_log_that_cannot_be_read_for_a_chart_does_not_end_the_app(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    app.preferences.charts, app.preferences.chart_columns, app.preferences.chart_rows = ["kl:0"], 1, 1
    failed: list[Path] = []

    def fail(details: EpochDetails) -> bool:
        failed.append(run.path)
        raise OSError(errno.EIO, "Input/output error")

    with mock.patch.object(EpochDetails, "read", fail):
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await until(pilot, lambda: bool(failed))
            await pilot.pause(0.1)
            assert titles(app) == ["KL of z 0"] and app.return_code is None


@in_event_loop
async def test_charts_drawn_again_at_once_leave_no_reading_behind(
    run: RunDirectory, recwarn: pytest.WarningsRecorder
) -> None:
    app = TuiVae(run.path.parent, run)
    app.preferences.charts, app.preferences.chart_columns, app.preferences.chart_rows = ["kl:0"], 1, 1
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: titles(app) == ["KL of z 0"])
        for _ in range(3):
            app.screen.query_one(TrainPane).refresh_history()
        await pilot.pause()
    gc.collect()
    assert not [each for each in recwarn if "never awaited" in str(each.message)]


@in_event_loop
async def test_a_page_with_fewer_figures_has_fewer_charts(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    app.preferences.charts, app.preferences.chart_columns, app.preferences.chart_rows = ["mse", "lr", "no such"], 1, 1
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: titles(app) == ["mse"])
        await pilot.press("v")
        await until(pilot, lambda: titles(app) == ["learning rate"])
        pane = app.screen.query_one(TrainPane)
        assert len(pane.views) == 2


def test_sigma_is_the_spread_of_the_decoder_that_fits_best(run: RunDirectory) -> None:
    history = read_history(run.events)
    sigma = next(figure for figure in FIGURES if figure.name == "sigma")
    curves = RunCurves([sigma])
    curves.read(history)
    recon = history.epochs[-1].test.recon
    assert recon is not None
    assert curves[sigma].test_epochs[-1][1] == pytest.approx(math.sqrt(recon / 784) / 2)
    steps = curves[sigma].steps
    assert steps is not None
    read = steps.at(float(history.step))
    newest = math.sqrt(history.steps["recon"][-1] / 784) / 2
    assert read is not None and read.raw == pytest.approx(newest)
    history.apply(StepEvent(epoch=4, step=710, images=0, loss=1, recon=9, kl=1, lr=1, beta=1, images_per_s=1))
    read = steps.at(710.0)  # which the curve has not read yet
    assert read is not None and read.raw == pytest.approx(newest)


def test_pages_hold_as_many_charts_as_the_grid() -> None:
    assert [len(page) for page in pages((), 2, 2)] == [4, 4]
    assert [len(page) for page in pages(("mse", "kl:7", "lr"), 1, 2)] == [2, 1]
    assert pages(("no", "kl:"), 1, 2)[0][0].name == USUAL[0]
