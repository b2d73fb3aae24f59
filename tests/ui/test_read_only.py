"""The app on a run that one may only look at: all panes work, keys that would change it say why they do not."""

import fcntl
import os
from pathlib import Path

import msgspec

from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, notifications, opened, seen, until
from tests.support.users import facts, give_back, make_read_only
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.holder import HOLDER_LENGTH, Holder
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.pane import BrowsePane
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.run_screen import RunScreen


@in_event_loop
async def test_all_panes_work_and_no_key_changes_it(own_runs: Path) -> None:
    run = make_run(own_runs, "theirs", epochs=3)
    why = make_read_only(run)
    before = facts(run)
    app = TuiVae(run.path.parent, run)
    with FakeProcess(run, "serve", read_only=True) as process:
        async with app.run_test(size=(120, 36)) as pilot:
            await opened(app, pilot)
            await pilot.press("1")
            await seen(app, pilot, "finished")
            await pilot.press("2")
            browse = app.screen.query_one(BrowsePane)
            await until(pilot, lambda: browse.weights is not None)
            await pilot.press("3")
            assert app.screen.query(LatentPane)
            await until(pilot, lambda: any(isinstance(asked, protocol.Map) for asked in process.asked))
            await pilot.press("4")
            await seen(app, pilot, "theirs")
            said = f"theirs {why}: you may look at it, not change it"
            for key in ("r", "x", "R", "N", "f2", "#", "D"):
                app.clear_notifications()
                await pilot.press(key)
                await until(pilot, lambda: any(said in each.replace("'", "") for each in notifications(app)))
                assert isinstance(app.screen, RunScreen)  # no dialog asks for what cannot be done
    assert facts(run) == before
    give_back(own_runs)


@in_event_loop
async def test_a_run_that_trains_elsewhere_is_shown_from_its_newest_checkpoint(own_runs: Path) -> None:
    run = make_run(own_runs, "far", epochs=3, state="training")
    lock = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    far = Holder(pid=1, mode="train", socket="/nowhere", host="node7", boot="another")
    os.pwrite(lock, msgspec.json.encode(far).ljust(HOLDER_LENGTH), 0)
    app = TuiVae(run.path.parent, run)
    with FakeProcess(run, "serve", step=705, read_only=True) as process:
        async with app.run_test(size=(120, 36)) as pilot:
            await opened(app, pilot)
            assert app.session is not None and app.session.alive and app.session.state == "training"
            await pilot.press("2")
            browse = app.screen.query_one(BrowsePane)
            await until(pilot, lambda: browse.weights == (3, 705))
            asked = len(process.asked)
            _step(process, 800)  # newer weights, which nobody here can have yet
            await until(pilot, lambda: app.session is not None and app.session.history.step == 800)
            await pilot.pause(0.6)
            assert len(process.asked) == asked
            process.step = 800
            process.log(ev.CheckpointEvent(epoch=4, step=800, file="last.safetensors", best=False))
            await until(pilot, lambda: browse.weights == (3, 800))
    os.close(lock)


def _step(process: FakeProcess, step: int) -> None:
    process.log(ev.StepEvent(epoch=4, step=step, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1, images_per_s=1))
