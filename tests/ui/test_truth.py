"""What the app says is so: after a resize, of a run that was steered, of one that has stopped, of the newest start."""

import re
from pathlib import Path

import pytest

from tests.support.fake_run import FakeProcess, make_run
from tests.support.latent_process import LatentProcess
from tests.support.piloting import in_event_loop, notifications, opened, screen, seen, until
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.summary import summarize
from tui_vae.runs.trainer_log import mark_start, words_of_newest
from tui_vae.ui.app import TuiVae
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.train.preview_strip import PreviewStrip


def keys(app: TuiVae) -> str:
    return app.screen.query_one(KeyBar)._line().plain


@pytest.mark.parametrize(
    "press",
    [
        "1",
        "2",
        "3 v",
        pytest.param("3 v v v v v", marks=pytest.mark.slow),
        pytest.param("4", marks=pytest.mark.slow),
        "n",
    ],
)
def test_after_a_resize_every_word_is_of_the_new_size(run: RunDirectory, press: str) -> None:
    """The screen of a window that grew is that of one which was opened so."""

    async def walk(app: TuiVae, first: tuple[int, int]) -> str:
        async with app.run_test(size=first) as pilot:
            await opened(app, pilot)
            for key in press.split():
                await pilot.press(key)
                await pilot.pause(0.4)
            if first != (160, 48):
                await pilot.resize_terminal(160, 48)
            before = ""
            while before != screen(app):
                before = screen(app)
                await pilot.pause(0.6)
            return before

    @in_event_loop
    async def both() -> None:
        with LatentProcess(run, "serve", step=705):
            grown = await walk(TuiVae(run.path.parent, run), (80, 24))
            fresh = await walk(TuiVae(run.path.parent, run), (160, 48))
        ages = re.compile(r"saved \d:\d\d|\d+ s ")
        assert ages.sub("", grown) == ages.sub("", fresh)

    both()


@in_event_loop
async def test_the_key_bar_says_what_a_key_does_now(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "train", step=705) as process:
        process.log(ev.StateEvent(state="training"))
        async with app.run_test(size=(200, 40)) as pilot:
            await opened(app, pilot)
            await until(pilot, lambda: "space pause" in keys(app))
            await pilot.press("space")
            await until(pilot, lambda: "space go on" in keys(app))
            await pilot.press("3")
            await until(pilot, lambda: "enter nearest" in keys(app))
            await pilot.press(*"vvvvv")
            await until(pilot, lambda: "enter traverse" in keys(app))
            await pilot.press("2")
            await until(pilot, lambda: "enter large" in keys(app))
            await pilot.press("W")
            await until(pilot, lambda: "enter list" in keys(app))
            for pane in "1234":  # where there is little room, the key that pauses is among those that stay
                await pilot.resize_terminal(80, 24)
                await pilot.press(pane)
                await until(pilot, lambda: "space go on" in keys(app) and len(keys(app)) == 78)


@in_event_loop
async def test_z_before_there_are_images_says_so(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    app = TuiVae(run.path.parent, run)
    monkeypatch.setattr(LatentPane, "_load_plane", lambda self: None)
    async with app.run_test(size=(160, 48)) as pilot:
        await opened(app, pilot)
        await pilot.press("3")
        await until(pilot, lambda: bool(app.screen.query(LatentPane)))
        pane = app.screen.query_one(LatentPane)
        await pilot.press(*"vvvv")
        await until(pilot, lambda: pane.view is View.SAMPLES)
        await pilot.press("z")
        await until(pilot, lambda: bool(notifications(app)))
        assert notifications(app) == ["There are no images yet: the model has not answered."]


@in_event_loop
async def test_epochs_of_a_stopped_run_agree_everywhere(tmp_path: Path) -> None:
    run = make_run(tmp_path, epochs=3, state="training")
    log = ev.EventLog(run.events)
    log.write(ev.StepEvent(epoch=4, step=800, images=0, loss=1, recon=1, kl=1, lr=1e-3, beta=1, images_per_s=1))
    log.write(ev.CheckpointEvent(epoch=4, step=800, file="last.safetensors", best=False))
    log.write(ev.StateEvent(state="stopped"))
    log.close()
    assert summarize(run).epochs == 3
    app = TuiVae(tmp_path, run)
    with FakeProcess(run, "serve", step=800):
        async with app.run_test(size=(160, 48)) as pilot:
            await opened(app, pilot)
            await seen(app, pilot, "epoch  3/10")
            await until(pilot, lambda: "epoch 3.4" in str(app.screen.query_one(PreviewStrip).border_subtitle))
            await pilot.press("2")
            await seen(app, pilot, "epoch 3.4 · step 800")
            await pilot.press("4")
            await seen(app, pilot, "3/10")


@in_event_loop
async def test_the_preview_box_says_how_its_other_images_are_reached(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(100, 44)) as pilot:
        await opened(app, pilot)
        strip = app.screen.query_one(PreviewStrip)
        await until(pilot, lambda: "of 10" in str(strip.border_subtitle))
        assert "P shows others" in str(strip.border_subtitle) and "↑" not in str(strip.border_subtitle)
        strip.focus()
        await until(pilot, lambda: "↑ ↓ others" in str(strip.border_subtitle))


@in_event_loop
async def test_a_crash_quotes_the_newest_start_alone(run: RunDirectory) -> None:
    run.log.write_text("MemoryError: of an earlier start\n")
    with run.log.open("ab") as log:
        mark_start(log.fileno(), "train")
        log.write(b"Killed by the newest start\n")
        log.flush()
        mark_start(log.fileno(), "serve")
        log.write(b"serving\n")
    process = FakeProcess(run, "train")
    process.log(ev.StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        process.die()
        await until(pilot, lambda: any("newest start" in message for message in notifications(app)))
        assert not any("earlier" in message or "serving" in message for message in notifications(app))


def test_the_first_process_needs_no_mark(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    with log.open("ab") as file:
        mark_start(file.fileno(), "train")
    assert log.read_bytes() == b"" and words_of_newest("one\ntwo\n", "train") == "one\ntwo"


@in_event_loop
async def test_steering_is_told_beside_the_command_and_the_config_and_in_a_form_like_it(run: RunDirectory) -> None:
    log = ev.EventLog(run.events)
    log.write(ev.ControlEvent(command="set beta", value=1.56, before=1.0, epoch=2, step=400))
    log.close()
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(160, 48)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        text = await seen(app, pilot, "steered: β 1 → 1.56 @ epoch 2; without that it is tui-vae train")
        assert any("steered" in line and "β 1 → 1.56 @ epoch 2" in line and "│" in line for line in text.splitlines())
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await seen(app, pilot, "new run, like fashion-1 without its steering")
