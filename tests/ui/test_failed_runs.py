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
from tui_vae.ui.run_progress import sentence
from tui_vae.ui.train.log_pane import log_lines

MESSAGE = f"{DIVERGED} in epoch 4: they are no longer finite numbers, so training has ended"
HINT = "go on from its last whole checkpoint with a lower learning rate: tui-vae resume bad --lr-factor 0.1"


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


@pytest.mark.parametrize("hint", [HINT, "train it anew with a lower learning rate: tui-vae train --config a --name=b"])
def test_the_log_of_a_diverged_run_names_the_key_that_the_headline_names(tmp_path: Path, hint: str) -> None:
    history = read_history(failed(tmp_path, hint=hint).events)
    says = sentence(history, "failed").split(" · ")
    told = [line.content.plain.strip() for line in log_lines(history, "")]
    assert says[1].startswith("r ") and told[told.index(next(each for each in told if MESSAGE in each)) + 1] == says[1]


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
        await until(pilot, lambda: f"failed: {MESSAGE} · {HINT.partition(': ')[0]}: R" in words(screen(app)))
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


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_the_row_of_a_failed_run_says_why_in_the_lists(tmp_path: Path, size: tuple[int, int]) -> None:
    why = "the device has no memory left for this run"
    for name, message in (("full", why), ("bad", MESSAGE)):
        failed(tmp_path, name, message, epochs=0)

    @in_event_loop
    async def walk() -> None:
        app = TuiVae(tmp_path)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: "full" in screen(app))
            rows = {line.split()[0]: line for line in screen(app).split("\n") if "failed" in line and line.split()}
            assert "diverged" in rows["bad"]
            assert "the device has" in rows["full"] and (why in rows["full"] or "…" in rows["full"])
        app = TuiVae(tmp_path, make_run(tmp_path, "good"))
        async with app.run_test(size=size) as pilot:
            await opened(app, pilot)
            await pilot.press("4")
            await until(pilot, lambda: "bad" in screen(app) and "failed" in screen(app))
            (row,) = [line for line in screen(app).split("\n") if " bad " in line]
            assert (f"{DIVERGED} in epoch 4" if size[0] > 100 else "diverged") in row

    walk()


@in_event_loop
async def test_what_a_failed_run_never_had_is_not_awaited(tmp_path: Path) -> None:
    app = TuiVae(tmp_path, failed(tmp_path, epochs=0))
    async with app.run_test(size=(160, 48)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "the run failed before its first images" in screen(app))
        assert "the run failed before its first epoch" in screen(app) and " yet" not in screen(app)
        await pilot.press("2")
        await until(pilot, lambda: "has no checkpoint: it failed before its first" in screen(app))


@in_event_loop
async def test_charts_without_a_finite_figure_say_so(tmp_path: Path) -> None:
    run = failed(tmp_path, epochs=0)
    nothing = ev.Metrics(None, None, None, None, None, None, 0)
    log = ev.EventLog(run.events)
    log.write(
        ev.StepEvent(epoch=1, step=47, images=256, loss=None, recon=None, kl=None, lr=1.0, beta=1.0, images_per_s=1.0)
    )
    log.write(ev.EpochEvent(epoch=1, step=235, seconds=1.0, images_per_s=1.0, train=nothing, test=nothing))
    log.write(ev.StateEvent(state="failed", reason=MESSAGE))
    log.close()
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: screen(app).count("no finite figure here") == 4)
