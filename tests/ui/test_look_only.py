"""The app on a run that one may only look at: all panes work, keys that would change it say why they do not."""

import shutil
from pathlib import Path

from tests.support.piloting import in_event_loop, notifications, opened, seen, until
from tests.support.processes import Trained
from tests.support.users import facts, give_back, make_look_only
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.pane import BrowsePane
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.run_screen import RunScreen


@in_event_loop
async def test_all_panes_work_and_no_key_changes_it(trained: Trained, own_runs: Path) -> None:
    own_runs.mkdir()
    run = RunDirectory(own_runs / "theirs")
    shutil.copytree(trained.directory.path, run.path)
    why = make_look_only(run)
    before = facts(run)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await pilot.press("1")
        await seen(app, pilot, "epoch 3/3")
        await pilot.press("2")
        browse = app.screen.query_one(BrowsePane)
        await until(pilot, lambda: browse.weights is not None, seconds=60)
        await pilot.press("3")
        latent = app.screen.query_one(LatentPane)
        await until(pilot, lambda: latent.plane is not None, seconds=60)
        await pilot.press("4")
        await seen(app, pilot, "theirs")
        said = f"theirs {why}: you may look at it, not change it"
        keys = ("r", "x", "R", "t", "N", "D")
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, RunScreen)  # no dialog asks for what cannot be done
        await until(pilot, lambda: sum(said in each.replace("'", "") for each in notifications(app)) == len(keys))
    assert facts(run) == before
    give_back(own_runs)
