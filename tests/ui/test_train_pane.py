"""The Train pane and the status line, in a terminal of a fixed size, over logs written as a trainer writes them."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path, PurePath

import psutil
import pytest
from msgspec import structs
from textual.app import ComposeResult

import tui_vae.ui
from tests.support.falling_run import START, run_event, step_event, trained, write
from tests.support.piloting import in_event_loop, screen, seen, until
from tests.support.processes import wait_until
from tui_vae.config import make_config
from tui_vae.runs import device_load
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History, read_newest
from tui_vae.runs.lock import RunLock
from tui_vae.ui import glyphs, run_progress, status_line, theme
from tui_vae.ui.charts import x_axis
from tui_vae.ui.charts.widget import ChartWidget
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.images.canvas import ImageApp
from tui_vae.ui.session import RunSession
from tui_vae.ui.settings import Preferences
from tui_vae.ui.status_line import StatusLine
from tui_vae.ui.train import run_curves
from tui_vae.ui.train.arrangement import arrangement
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.figures import MEASURES
from tui_vae.ui.train.pane import TrainPane
from tui_vae.ui.train.run_curves import RunCurves

UI = Path(tui_vae.ui.__file__).parent
SHEETS: list[str | PurePath] = [UI / "run_screen.tcss", UI / "train" / "train.tcss"]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory, _ = create_run(tmp_path, make_config({"name": "demo"}))
    return directory


class Demo(ImageApp[None]):
    CSS_PATH = SHEETS

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.session = RunSession(run)
        self.register_theme(theme.DARK)
        self.theme = theme.DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme.DEFAULT_VARIABLES

    def compose(self) -> ComposeResult:
        yield StatusLine(self.session)
        yield TrainPane(self.session, Preferences())

    def on_mount(self) -> None:
        self.query_one("#chart-recon").focus()
        self.run_worker(self.session.follow(self.tell))

    def tell(self) -> None:
        self.query_one(StatusLine).refresh_history()
        self.query_one(TrainPane).refresh_history()


def drawn(shown: str) -> bool:
    """Whether there is a line of Braille."""
    return any("\u2800" < sign <= "\u28ff" for sign in shown)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (160, 30), (160, 48), (60, 20)])
@in_event_loop
async def test_a_finished_run_is_told_at_every_size(run: RunDirectory, size: tuple[int, int]) -> None:
    write(run, trained(10, "finished"))
    app = Demo(run)
    async with app.run_test(size=size) as pilot:
        told = ("demo", "✔ finished", "10/10", "r trains more epochs", *(measure.title for measure in MEASURES))
        await until(
            pilot,
            lambda: drawn(shown := screen(app)) and "27.20" in shown and all(words in shown for words in told),
        )
        shown = screen(app)
        assert all(len(line) == size[0] for line in shown.splitlines())
        assert ("● test" in shown) == (size[0] > 60) and "● " in shown
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
        shown = await seen(app, pilot, "epoch 10.00 · step 400 · 0:40 · escape leaves the cursor")
        assert "raw 20.10  ─ 20.10  ● 27.20" in shown
        await pilot.press("h", "left")
        await seen(app, pilot, "step 3")
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


@in_event_loop
async def test_other_charts_show_the_conditions_and_the_newest_values(run: RunDirectory) -> None:
    write(run, trained(10, "finished"))
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:
        await seen(app, pilot, "● test")
        await pilot.press("v")
        shown = await seen(app, pilot, "−ELBO, bits a pixel")
        for words in ("● test 6.740", "learning rate", "0.002", "╭ β ", "images/s over 10 steps", "26.4k"):
            assert words in shown
        await pilot.press("~")
        assert "the mean of 40 steps" in await seen(app, pilot, "images/s over 40 steps")
        await pilot.press("v")
        await seen(app, pilot, "reconstruction ↑")


@in_event_loop
async def test_charts_hold_still_once_zoomed_until_they_follow_again(run: RunDirectory) -> None:
    lock = RunLock(run, "train")
    write(run, trained(3))
    app = Demo(run)
    async with app.run_test(size=(120, 32)) as pilot:

        async def one_more_step() -> None:
            newest = app.session.history.step
            write(run, [step_event(newest + 1, (newest + 1) / 10)])
            await until(pilot, lambda: app.session.history.step > newest)

        await seen(app, pilot, "● test")
        pane = app.query_one(TrainPane)
        for unit in ("epochs", "steps", "time"):
            assert pane.unit == unit
            await pilot.press("i", "i", "comma")
            held = pane.window
            assert held is not None and 0 <= held.first < held.last <= 160 and held.last - held.first < 50
            await one_more_step()
            assert "held, f follows" in await seen(app, pilot, "reconstruction held") and pane.window == held
            await pilot.press("I", "I", "I")
            assert pane.window is None
            await pilot.press("i", "f", "h")
            assert pane.window is None
    lock.release()


@in_event_loop
async def test_the_log_shows_messages_and_the_trainers_words_until_it_is_left(run: RunDirectory) -> None:
    run.log.write_text("Traceback\n  \x1b[31mValueError: odd\x1b[0m\n")
    warning = ev.WarningEvent(t=START + 5, message="the disk is [nearly] full", hint="make room")
    write(run, [*trained(2), warning, ev.ErrorEvent(t=START + 9, message="it broke"), ev.StateEvent(state="failed")])
    app = Demo(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(app, pilot, "● test")
        await pilot.press("w")
        shown = await seen(app, pilot, "ValueError: odd")
        for words in ("warning  the disk is [nearly] full", "make room", "error    it broke", "trainer.log"):
            assert words in shown
        assert "reconstruction" not in shown
        await pilot.press("escape")
        await seen(app, pilot, "reconstruction")
        await pilot.press("z", "w")  # which takes the place of a chart that has it all to itself
        assert "reconstruction" not in await seen(app, pilot, "ValueError: odd")
        await pilot.press("w")
        assert "ValueError" not in await seen(app, pilot, "reconstruction")


def test_marks_name_what_was_changed_by_hand() -> None:
    history = History()
    told = (("set lr", 3e-4, 5), ("pause", None, 7), ("resume", None, 7), ("checkpoint", None, 9), ("stop", None, 9),
            ("resume", None, 9))  # fmt: skip
    for second, (command, value, step) in enumerate(told):
        history.apply(ev.ControlEvent(t=START + second, command=command, value=value, epoch=1, step=step))
    labels = [(mark.step, mark.label) for mark in run_curves.control_marks(history)]
    assert labels == [(5, "lr 3e-4"), (7, "paused 0:01"), (9, "saved"), (9, "stopped"), (9, "resumed")]


def test_wall_time_leaves_out_what_no_process_trained() -> None:
    history = History()
    history.extend(trained(2))
    history.apply(ev.RunEvent(**{**{name: getattr(run_event(step=80), name) for name in run_event().__struct_fields__},
                                 "t": START + 1000}))  # fmt: skip
    history.extend([step_event(step, 1000 + (step - 80) / 10) for step in range(81, 121)])
    whole = x_axis.of_run(history, "time")
    assert [round(whole.unit.value(step)) for step in (40, 80, 120)] == [4, 8, 12]
    assert whole.unit.step(whole.unit.value(33)) == pytest.approx(33)
    assert whole.text(80) == "0:08"


def test_the_ends_of_a_long_log_tell_the_newest_at_once(run: RunDirectory) -> None:
    write(run, trained(10, "finished"))
    assert read_newest(run.events) is None
    newest = read_newest(run.events, size=4096)
    assert newest is not None and newest.run is not None and newest.state is not None
    assert (newest.step, newest.epochs[-1].epoch, newest.state.state) == (400, 10, "finished")


class FakeDriver(types.ModuleType):
    """NVIDIA's library on a machine with two GPUs, of which the second does not know its temperature."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> types.SimpleNamespace:
        return types.SimpleNamespace(gpu=40 + handle)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> types.SimpleNamespace:
        return types.SimpleNamespace(used=(handle + 1) << 30)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        if handle:
            raise self.NVMLError
        return 55


def test_the_load_is_of_the_device_that_the_run_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeDriver("pynvml"))
    monkeypatch.setattr(device_load, "_visible_to", lambda pid: "1,0")
    assert device_load.Sampler("cuda:1", 1).sample() == device_load.Load(40.0, 1 << 30, 55.0)
    assert device_load.Sampler("cuda:0", 1).sample() == device_load.Load(41.0, 2 << 30, None)
    assert device_load.Sampler("cuda:2", 1).sample() == device_load.NOTHING
    assert device_load.physical("cuda", "GPU-1a-2b") == "GPU-1a-2b"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert device_load.Sampler("cuda:0", 1).sample() == device_load.NOTHING
    load = device_load.Sampler("cpu", os.getpid()).sample()
    assert load.percent is not None and load.memory is not None and load.temperature is None


def test_a_run_on_one_device_is_asked_for_without_a_look_at_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        for name in ("pids", "_ppid_map"):
            patched.setattr(psutil, name, lambda: pytest.fail("looked at all"))
        assert device_load.Sampler("cpu", os.getpid()).sample().memory


def test_the_memory_is_that_of_all_processes_and_one_gpus_figures_say_whose_they_are() -> None:
    with subprocess.Popen([sys.executable, "-c", "data = b'.' * (1 << 27); input()"], stdin=subprocess.PIPE) as child:
        alone = psutil.Process().memory_info().rss
        several = device_load.Sampler("cpu", os.getpid(), several=True)
        wait_until(lambda: (several.sample().memory or 0) > alone + (1 << 27))
        child.communicate(b"\n")
    history = History()
    for devices, says in ((1, " 38% 1.0 GiB"), (2, "cuda:0  38% 1.0 GiB")):
        history.extend([structs.replace(run_event(), device="cuda:0", config={"devices": devices})])
        found = status_line.parts(history, "demo", "training", 0.0, glyphs.UNICODE, device_load.Load(38.0, 1 << 30))
        assert [part.words[0][0] for part in found if part.rank == 6] == [says]


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
    edges = Axis(0.0, 140.0).edges(50)
    assert fresh._sources["recon"].steps is not None
    assert fresh._sources["recon"].steps.segments(edges) == steps.segments(edges)


def test_the_end_is_foretold_from_the_pace_once_it_is_known() -> None:
    history = History()
    history.extend(list(trained(1))[:10])
    assert run_progress.seconds_left(history) is None
    history.extend(list(trained(5))[10:])
    assert run_progress.seconds_left(history) == pytest.approx(200 / 10, rel=0.05)
    history.apply(ev.StateEvent(t=START + 30, state="paused"))
    assert run_progress.seconds_left(history) is None


@pytest.mark.parametrize("width", [30, 60, 80, 100, 120, 160, 200])
def test_the_status_line_fits_and_keeps_its_places_while_numbers_change(width: int) -> None:
    history = History()
    places = set()
    for event in trained(9):
        history.apply(event)
        if len(history.steps) > 30:
            found = status_line.parts(history, "demo", "training", START + 40, glyphs.UNICODE)
            words = status_line.line(found, width, run_progress.share_done(history), glyphs.UNICODE)
            text = "".join(word for word, _ in words)
            assert len(text) <= width
            places.add((text.index("▶"), text.find("img/s"), text.find("ETA"), text.find("cpu ×2 fp32")))
    assert len(places) == 1
