"""The Train pane and the status line, in a terminal of a fixed size, over logs written as a trainer writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from piloting import in_event_loop, until
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, RunLock, create_run
from tui_vae.runs.history import History
from tui_vae.ui import glyphs, progress, status_line, theme
from tui_vae.ui.chart_widget import ChartWidget
from tui_vae.ui.epoch_table import EpochTable
from tui_vae.ui.run_curves import MEASURES, RunCurves
from tui_vae.ui.session import RunSession
from tui_vae.ui.status_line import StatusLine
from tui_vae.ui.train_pane import TrainPane, arrangement

START = 1_000_000.0
STEPS_AN_EPOCH = 40
SHEET = Path(__file__).parents[1] / "tui_vae" / "ui" / "train.tcss"


def run_event(epochs: int = 10, step: int = 0) -> ev.RunEvent:
    return ev.RunEvent(
        t=START, name="demo", config={}, device="cpu", threads=2, precision="float32", parameters=1, versions={},
        dataset=ev.DatasetFacts("fashion-mnist", "sample", 60_000, 10_000), epochs=epochs,
        steps_per_epoch=STEPS_AN_EPOCH, step=step,
    )  # fmt: skip


def step_event(step: int, seconds: float, value: float | None = None) -> ev.StepEvent:
    recon = 20 + 80 * math.exp(-step / 60) if value is None else value
    return ev.StepEvent(
        t=START + seconds, epoch=(step - 1) // STEPS_AN_EPOCH + 1, step=step, images=step * 256, loss=recon - 100,
        recon=recon, kl=30.0 + step / 100, lr=2e-3, beta=1.0, images_per_s=26_400.0,
    )  # fmt: skip


def metrics(loss: float) -> ev.Metrics:
    return ev.Metrics(
        loss=loss, recon=loss + 127.1, kl=61.2, mse=0.0091, accuracy=0.953, elbo_bpd=6.74, active_units=28
    )  # fmt: skip


def epoch_event(epoch: int) -> ev.EpochEvent:
    return ev.EpochEvent(
        t=START + epoch * 4, epoch=epoch, step=epoch * STEPS_AN_EPOCH, seconds=4.0, images_per_s=26_400.0,
        train=metrics(-101.0), test=metrics(-100.0 + 1 / epoch),
    )  # fmt: skip


def trained(epochs: int, state: ev.RunState | None = None) -> Iterator[ev.AnyEvent]:
    """What a run tells that has trained so many epochs of ten, and then came to this state."""
    yield run_event()
    yield ev.StateEvent(t=START, state="loading", reason="importing PyTorch")
    yield ev.StateEvent(t=START, state="training")
    for step in range(1, epochs * STEPS_AN_EPOCH + 1):
        yield step_event(step, step / 10)
        if step == 60:
            yield ev.ControlEvent(t=START + 6, command="beta", value=2.0, epoch=2, step=60)
        if step % STEPS_AN_EPOCH == 0:
            yield epoch_event(step // STEPS_AN_EPOCH)
    if state is not None:
        yield ev.StateEvent(t=START + epochs * 4, state=state)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory, _ = create_run(tmp_path, make_config({"name": "demo"}))
    return directory


def write(run: RunDirectory, events: Iterator[ev.AnyEvent] | list[ev.AnyEvent]) -> None:
    log = ev.EventLog(run.events)
    for event in events:
        log.write(event)
    log.close()


class Demo(App[None]):
    CSS_PATH = SHEET

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.session = RunSession(run)
        self.register_theme(theme.DARK)
        self.theme = theme.DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.DEFAULT_VARIABLES

    def compose(self) -> ComposeResult:
        yield StatusLine(self.session)
        yield TrainPane(self.session)

    def on_mount(self) -> None:
        self.query_one("#chart-recon").focus()
        self.run_worker(self.session.follow(self.tell))

    def tell(self) -> None:
        self.query_one(StatusLine).refresh_history()
        self.query_one(TrainPane).refresh_history()


def screen(app: App[None]) -> str:
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def drawn(shown: str) -> bool:
    """Whether there is a line of Braille."""
    return any("\u2800" < sign <= "\u28ff" for sign in shown)


async def seen(app: App[None], pilot: Pilot[None], text: str) -> str:
    """The screen, once this text stands on it."""
    await until(pilot, lambda: text in screen(app))
    return screen(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (160, 30), (160, 48), (60, 20)])
@in_event_loop
async def test_a_finished_run_is_told_at_every_size(run: RunDirectory, size: tuple[int, int]) -> None:
    write(run, trained(10, "finished"))
    app = Demo(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: drawn(screen(app)) and "● test" in screen(app))
        shown = screen(app)
        for words in ("demo", "✔ finished", "10/10", "r trains more epochs", *(measure.title for measure in MEASURES)):
            assert words in shown
        assert all(len(line) == size[0] for line in shown.splitlines())
        assert ("epochs, on the test set" in shown) == (arrangement(size[0], size[1] - 1) != "compact")


@in_event_loop
async def test_a_loading_run_says_what_it_waits_for_then_grows(run: RunDirectory) -> None:
    lock = RunLock(run, "train")
    events = list(trained(3))
    write(run, events[:2])
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:
        shown = await seen(app, pilot, "importing PyTorch…")
        assert "after the first step" in shown and "after the first epoch" in shown
        write(run, events[2:])
        shown = await seen(app, pilot, "● test")
        assert "▶ training" in shown and " 3/10" in shown and "26.4k img/s" in shown
        assert "┊β 2" in shown
        assert "learning rate 0.002 · β 1" in shown
    lock.release()


@in_event_loop
async def test_a_run_whose_process_has_gone_says_so(run: RunDirectory) -> None:
    write(run, trained(2))
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:
        shown = await seen(app, pilot, "✖ crashed")
        assert "its process has died" in shown


@in_event_loop
async def test_zoom_reaches_every_panel_even_where_there_is_no_room_for_it(run: RunDirectory) -> None:
    write(run, trained(10, "stopped"))
    app = Demo(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, "● test")
        pane = app.query_one(TrainPane)
        await pilot.press("z")
        assert "accuracy" not in await seen(app, pilot, "reconstruction")
        assert app.query_one("#chart-recon").size.height == 24 - 2
        for _ in range(5):
            await pilot.press("tab")
        assert pane.zoomed is app.query_one(EpochTable)
        assert "train loss" in await seen(app, pilot, "epochs, on the test set")
        await pilot.press("escape")
        assert "accuracy" in await seen(app, pilot, "reconstruction")
        assert not app.query_one(EpochTable).is_on_screen


@in_event_loop
async def test_the_cursor_reads_all_charts_at_once_and_stays_on_the_axis(run: RunDirectory) -> None:
    write(run, trained(10, "finished"))
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:
        await seen(app, pilot, "● test")
        await pilot.press("left")
        assert (await seen(app, pilot, "epoch 10.00")).count("epoch 10.00") >= 3
        await pilot.press("t", "left")
        shown = await seen(app, pilot, "step 3")
        assert "x in steps" not in shown  # a finished run has no room for settings
        await pilot.press(*["shift+left"] * 7)
        assert app.query_one(TrainPane).cursor == 0
        await pilot.press("escape")
        assert app.query_one(TrainPane).cursor is None


@in_event_loop
async def test_log_scale_is_refused_where_there_is_no_logarithm(run: RunDirectory) -> None:
    write(run, trained(10, "finished"))
    app = Demo(run)
    async with app.run_test(size=(160, 48)) as pilot:
        await seen(app, pilot, "● test")
        await pilot.press("l")
        shown = await seen(app, pilot, "reconstruction log")
        assert "loss linear, as some ≤ 0" in shown


@in_event_loop
async def test_a_new_step_repaints_only_what_it_changes(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RunLock(run, "train")
    write(run, [*trained(3), step_event(121, 12.1)])
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:
        await until(pilot, lambda: drawn(screen(app)))
        await pilot.pause(0.6)
        accuracy, recon = app.query_one("#chart-accuracy", ChartWidget), app.query_one("#chart-recon", ChartWidget)
        repainted: dict[str, int] = {"accuracy": 0, "recon": 0}
        for chart, name in ((accuracy, "accuracy"), (recon, "recon")):

            def count(*regions: object, name: str = name, refresh: object = chart.refresh, **more: object) -> object:
                repainted[name] += sum(region.area for region in regions) if regions else 10_000  # type: ignore[attr-defined]
                return refresh(*regions, **more)  # type: ignore[operator]

            monkeypatch.setattr(chart, "refresh", count)
        write(run, [step_event(122, 12.2)])
        await pilot.pause(0.8)
        assert repainted["accuracy"] == 0
        assert 0 < repainted["recon"] < 60
    lock.release()


def test_curves_are_read_anew_when_a_resume_rewrites_the_past() -> None:
    history, curves = History(), RunCurves()
    history.extend(trained(3))
    curves.read(history)
    assert curves._sources["recon"].steps is not None and len(curves._sources["recon"].steps) == 120
    history.extend([run_event(step=80), *(step_event(step, 20 + step, 500.0) for step in range(81, 141))])
    curves.read(history)
    steps = curves._sources["recon"].steps
    assert steps is not None and len(steps) == 140
    assert len(curves._sources["recon"].test_epochs) == len(history.epochs) == 2
    fresh = RunCurves()
    fresh.read(history)
    assert fresh._sources["recon"].steps is not None
    assert fresh._sources["recon"].steps.runs(140, 50) == steps.runs(140, 50)


def test_the_end_is_foretold_from_the_pace_once_it_is_known() -> None:
    history = History()
    history.extend(list(trained(1))[:10])
    assert progress.seconds_left(history) is None
    history.extend(list(trained(5))[10:])
    assert progress.seconds_left(history) == pytest.approx(200 / 10, rel=0.05)
    history.apply(ev.StateEvent(t=START + 30, state="paused"))
    assert progress.seconds_left(history) is None


@pytest.mark.parametrize("width", [30, 60, 80, 100, 120, 160, 200])
def test_the_status_line_fits_and_keeps_its_places_while_numbers_change(width: int) -> None:
    history = History()
    places = set()
    for event in trained(9):
        history.apply(event)
        if len(history.steps) > 30:
            found = status_line.parts(history, "demo", "training", START + 40, glyphs.UNICODE)
            words = status_line.line(found, width, progress.share_done(history), glyphs.UNICODE)
            text = "".join(word for word, _ in words)
            assert len(text) <= width
            places.add((text.index("▶"), text.find("img/s"), text.find("ETA"), text.find("cpu ×2 fp32")))
    assert len(places) == 1
