"""A failed run: why, and what to do, stand whole on the screen; a diverged one is asked for a lower learning rate."""

from pathlib import Path

import pytest
from textual.widgets import Input

from tests.support.fake_run import make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, opened, screen, until
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.health import DIVERGED
from tui_vae.runs.history import read_history
from tui_vae.runs.lower_rate import Rate, rate_to_lower
from tui_vae.ui.app import TuiVae
from tui_vae.ui.lower_rate import AskRate

MESSAGE = f"{DIVERGED} in epoch 4: they are no longer finite numbers, so training has ended"
HINT = "go on from its last whole checkpoint with a lower learning rate: tui-vae resume bad && tui-vae set bad lr=2e-4"


def failed(runs: Path, name: str = "bad", message: str = MESSAGE, hint: str = HINT, epochs: int = 3) -> RunDirectory:
    run = make_run(runs, name, epochs=epochs, state="failed")
    log = ev.EventLog(run.events)
    log.write(ev.ErrorEvent(message=message, hint=hint))
    log.write(ev.StateEvent(state="failed", reason=message))
    log.close()
    return run


def words(text: str) -> str:
    """The screen's words without its lines and frames."""
    return " ".join(text.translate(str.maketrans("│╭╮╰╯─", "      ")).split())


@pytest.mark.parametrize("size", [(40, 20), (80, 24), (120, 30), (160, 48)])
def test_why_a_run_failed_and_the_remedy_stand_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    @in_event_loop
    async def walk() -> None:
        run = failed(tmp_path)
        app = TuiVae(tmp_path, run)
        async with app.run_test(size=size) as pilot:
            await opened(app, pilot)
            await until(pilot, lambda: "failed: " in screen(app))
            await pilot.pause(0.1)
            shown = words(screen(app))
            assert f"failed: {MESSAGE}" in shown
            assert "r goes on from the last whole checkpoint with a lower learning rate, which it asks for" in shown

    walk()


@in_event_loop
async def test_r_on_a_diverged_run_asks_with_a_lower_rate_filled_in(tmp_path: Path, launcher: FakeLauncher) -> None:
    run = failed(tmp_path)
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, AskRate))
        assert "from step 705 on; it was 0.002" in screen(app)
        assert app.screen.query_one(Input).value == "0.0002"
        await pilot.press("enter")
        await until(pilot, lambda: bool(launcher.started))
        assert launcher.lr_factors == [pytest.approx(0.1)]


@in_event_loop
async def test_a_rate_that_is_none_is_refused_and_other_failures_ask_nothing(
    tmp_path: Path, launcher: FakeLauncher
) -> None:
    app = TuiVae(tmp_path, failed(tmp_path))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, AskRate))
        await pilot.press(*["backspace"] * 6, "n", "o", "enter")
        await until(pilot, lambda: "lr" in str(app.screen.query_one(".wrong").render()))
        await pilot.press("escape")
        assert launcher.started == []
    app = TuiVae(tmp_path, failed(tmp_path, "full", "the device has no memory left for this run", "free some of it"))
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        told = "the device has no memory left for this run · free some of it · r tries again"
        await until(pilot, lambda: told in words(screen(app)))
        await pilot.press("r")
        await until(pilot, lambda: bool(launcher.started))
        assert launcher.lr_factors == [None]


@in_event_loop
async def test_runs_says_why_the_selected_run_failed_and_continues_it_with_a_lower_rate(
    tmp_path: Path, launcher: FakeLauncher
) -> None:
    failed(tmp_path, epochs=2)
    app = TuiVae(tmp_path, make_run(tmp_path, "good"))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        await until(pilot, lambda: "bad" in screen(app))
        await pilot.press("home")
        await until(pilot, lambda: f"{MESSAGE} · {HINT}" in words(screen(app)))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, AskRate))
        await pilot.press("enter")
        await until(pilot, lambda: launcher.lr_factors == [pytest.approx(0.1)])


def test_a_run_that_diverged_again_is_not_offered_the_same_rate(tmp_path: Path) -> None:
    run = failed(tmp_path, hint="train it anew with a lower learning rate: tui-vae train")
    assert rate_to_lower(read_history(run.events)) == Rate(705, 2e-3, 2e-3 / 10)
    log = ev.EventLog(run.events)
    log.write(ev.ControlEvent(command="set lr", value=2e-4, before=2e-3, epoch=3, step=705))
    log.close()
    assert rate_to_lower(read_history(run.events)) == Rate(705, 2e-3, 2e-4 / 10)
