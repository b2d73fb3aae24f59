"""Steering a run by keys, noticing its crash, and continuing it."""

import asyncio
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.support.fake_run import FakeProcess, make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, notifications, opened, seen, until
from tui_vae.runs import protocol
from tui_vae.runs.directory import BEST, RunDirectory
from tui_vae.runs.events import EventLog, StateEvent, StepEvent
from tui_vae.ui import steering
from tui_vae.ui.app import TuiVae
from tui_vae.ui.dialogs import Choose, Confirm, Dialog
from tui_vae.ui.pending_change import SEND_AFTER
from tui_vae.ui.runs.pane import RunsPane
from tui_vae.ui.session import RunSession


@in_event_loop
async def test_steering_a_living_run(run: RunDirectory, live: FakeProcess) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.session is not None and app.session.state == "paused")
        await pilot.press("space")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        await pilot.press("+", "+", "]", "s")  # what waits is sent before anything else is done
        await until(pilot, lambda: protocol.Checkpoint() in live.asked)
        assert live.lr == pytest.approx(2e-3 * 1.25**2) and live.beta == pytest.approx(1.25)
        assert live.asked.count(protocol.Set(lr_factor=1.25**2)) == 1
        assert live.asked.count(protocol.Set(beta_factor=1.25)) == 1
        await until(pilot, lambda: "Learning rate 0.00313" in notifications(app))
        live.beta = 0
        await pilot.press("[")
        await until(pilot, lambda: "β is 0 and stays 0; ] raises it." in notifications(app))
        await pilot.press("r")
        await until(pilot, lambda: any("already" in message for message in notifications(app)))
        await pilot.press("x")
        assert isinstance(app.screen, Choose)
        await pilot.press("escape", "x", "enter")
        await until(pilot, lambda: protocol.Stop() in live.asked)
        assert sum(request == protocol.Stop() for request in live.asked) == 1


@in_event_loop
async def test_a_kill_says_what_it_loses_and_hits_nothing_but_a_trainer(
    run: RunDirectory, live: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[RunDirectory, int]] = []

    def kill(directory: RunDirectory, number: int) -> bool:
        killed.append((directory, number))
        live.die()
        monkeypatch.setattr(live, "die", lambda: None)
        return True

    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        live.log(StepEvent(epoch=4, step=800, images=0, loss=1, recon=1, kl=1, lr=1e-3, beta=1, images_per_s=1))
        await until(pilot, lambda: app.session is not None and app.session.history.step == 800)
        await pilot.press("x", "down", "enter")
        assert isinstance(app.screen, Confirm)
        assert "The 95 steps since the checkpoint at step 705 are lost" in app.screen._explanation
        await pilot.press("enter", "x", "down", "enter", "y")  # enter kills nothing; the lock is this test's own
        await until(pilot, lambda: any("not one that can be killed" in message for message in notifications(app)))
        monkeypatch.setattr(steering, "signal_trainer", kill)
        await pilot.press("x", "down", "enter", "y")
        await until(pilot, lambda: app.session is not None and app.session.state == "crashed")
        await pilot.pause(0.3)
        assert killed == [(run, signal.SIGKILL)] and not any(
            "continues from" in message for message in notifications(app)
        )


@in_event_loop
async def test_a_misplaced_key_is_taken_back_before_it_is_sent_and_undone_after(
    run: RunDirectory, live: FakeProcess
) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("[", "[", "+")
        await until(
            pilot, lambda: any("β ÷1.56 and learning rate ×1.25; u takes" in each for each in notifications(app))
        )
        assert sum("In a second" in each for each in notifications(app)) <= 2, "of one kind, only the newest stays"
        await pilot.press("u")
        await until(pilot, lambda: any("nothing was sent: β ÷1.56" in each for each in notifications(app)))
        assert not any("In a second" in each for each in notifications(app))
        await pilot.pause(SEND_AFTER + 0.2)
        assert not [each for each in live.asked if isinstance(each, protocol.Set)]
        await pilot.press("]")
        assert not any("nothing was sent" in each for each in notifications(app))
        await until(pilot, lambda: live.beta == pytest.approx(1.25))  # without any other key
        assert not any("In a second" in each for each in notifications(app))
        await pilot.press("u")
        await until(pilot, lambda: live.beta == pytest.approx(1.0))
        await pilot.press("u")
        await until(pilot, lambda: "There is no change of lr or β to take back." in notifications(app))
        await pilot.press("-", "q")
        await until(pilot, lambda: app.return_value is not None)
    assert live.lr == pytest.approx(2e-3 / 1.25), "leaving sends what waits"


@in_event_loop
async def test_keys_that_make_no_sense_say_why(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:

        async def press(key: str) -> None:
            before = [*app._notifications]
            await pilot.press(key)
            await until(pilot, lambda: any(each not in before for each in app._notifications))

        await opened(app, pilot)
        for key in ("space", "s", "+", "[", "x"):
            await press(key)
            assert "fashion-1 is finished; r trains more epochs" in notifications(app)[-1]


@in_event_loop
async def test_a_finished_run_asks_for_more_epochs(run: RunDirectory, launcher: FakeLauncher) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("r", *"5", "enter")
        await until(pilot, lambda: bool(launcher.started))
        assert launcher.started == [(run, 5)]
        await until(pilot, lambda: app.session is not None and app.session.state == "training")


@pytest.mark.parametrize("key", ["r", "R"])
@in_event_loop
async def test_a_run_that_failed_after_all_its_epochs_asks_for_more(
    key: str, tmp_path: Path, launcher: FakeLauncher
) -> None:
    """As one whose `resume --epochs` failed before its first step: to go on without a number would fail again."""
    done, shown = make_run(tmp_path, "done", epochs=3, planned=3, state="failed"), make_run(tmp_path, "shown")
    app = TuiVae(tmp_path, done if key == "r" else shown)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        if key == "R":
            await pilot.press("4")
            await seen(app, pilot, "done")
            pane = app.screen.query_one(RunsPane)
            pane.cursor = done.path
            await until(pilot, lambda: pane.selected is not None and pane.selected.state == "failed")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Dialog))
        await pilot.press(*"5", "enter")
        await until(pilot, lambda: bool(launcher.started))
        assert launcher.started == [(done, 5)]


@in_event_loop
async def test_a_run_that_keeps_only_its_best_weights_says_so_before_it_asks(run: RunDirectory) -> None:
    run.files.last.unlink(missing_ok=True)
    run.files.best.touch()
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        shown = await seen(app, pilot, "finished · has its best weights only · best test")
        assert "r resume" not in shown and "r trains" not in shown
        await pilot.press("r")
        await until(pilot, lambda: any("has only its best weights" in each for each in notifications(app)))
        assert not isinstance(app.screen, Dialog)
        await pilot.press("s")
        await until(pilot, lambda: any("it has its best weights only" in each for each in notifications(app)))
        run.files.last.touch()
        await seen(app, pilot, "r resume")


@in_event_loop
async def test_a_run_that_has_been_deleted_says_so_before_it_asks(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await seen(app, pilot, "r trains more epochs")
        shutil.rmtree(run.path)
        await seen(app, pilot, "finished · has been deleted")
        await pilot.press("r")
        await until(pilot, lambda: any("'fashion-1' has been deleted" in each for each in notifications(app)))
        assert not isinstance(app.screen, Dialog)


@in_event_loop
async def test_runs_asks_no_epochs_for_a_run_that_keeps_only_its_best_weights(run: RunDirectory) -> None:
    run.files.best.touch()
    app = TuiVae(run.path.parent, make_run(run.path.parent, "other"))
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        await seen(app, pilot, "fashion-1")
        pane = app.screen.query_one(RunsPane)
        pane.cursor = run.path
        await until(pilot, lambda: pane.selected is not None and pane.selected.state == "finished")
        await pilot.press("R")
        await until(pilot, lambda: any("'fashion-1' has only its best" in each for each in notifications(app)))
        assert not isinstance(app.screen, Dialog)


@in_event_loop
async def test_keys_are_answered_while_a_file_system_does_not(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_by: list[threading.Thread] = []

    def best(directory: RunDirectory) -> Path:
        asked_by.append(threading.current_thread())
        return directory.path / BEST

    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        monkeypatch.setattr(RunDirectory, "best", property(best))
        await pilot.press("tab", "question_mark", "escape", "r", "escape")
        await until(pilot, lambda: bool(asked_by))
        assert threading.main_thread() not in asked_by


@in_event_loop
async def test_a_crash_is_noticed_and_can_be_resumed(run: RunDirectory, launcher: FakeLauncher) -> None:
    run.log.write_text("Traceback (most recent call last):\nMemoryError: no more\n")
    process = FakeProcess(run, "train")
    process.log(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        assert app.session is not None and app.session.state == "training"
        process.die()
        await until(pilot, lambda: any("MemoryError: no more" in message for message in notifications(app)), seconds=3)
        assert app.session.state == "crashed"
        await pilot.press("r")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        assert launcher.started == [(run, 0)]


@in_event_loop
async def test_a_stop_is_no_crash(run: RunDirectory) -> None:
    process = FakeProcess(run, "train")
    process.log(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        EventLog(run.events).write(StateEvent(state="stopped"))
        process.die()
        await until(pilot, lambda: app.session is not None and not app.session.alive)
        assert app.session is not None and app.session.state == "stopped" and notifications(app) == []


@in_event_loop
async def test_a_process_that_is_gone_has_not_crashed_before_its_last_words_are_read(run: RunDirectory) -> None:
    process = FakeProcess(run, "train")
    process.log(StateEvent(state="training"))
    session = RunSession(run)
    following = asyncio.create_task(session.follow(lambda: None))
    await until(None, lambda: session.caught_up)
    process.log(StateEvent(state="stopped"))
    process.die()
    await session.look_for_process()  # as after a key, sooner than the log is read
    assert not session.alive and session.state == "training"
    await until(None, lambda: session.state != "training")
    assert session.state == "stopped"
    following.cancel()
