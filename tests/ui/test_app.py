"""The app from its start to its farewell: starting, steering, noticing a crash, leaving."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Input, Label, OptionList, Static

from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, seen, until
from tui_vae.config import RunConfig, make_config, options
from tui_vae.errors import UsageError
from tui_vae.runs import launch, protocol
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import EventLog, StateEvent, StepEvent
from tui_vae.ui import settings, steering, theme
from tui_vae.ui.app import TuiVae
from tui_vae.ui.commands import commands
from tui_vae.ui.dialogs import Choose, Confirm
from tui_vae.ui.help import Help, HelpText
from tui_vae.ui.images.canvas import Toning
from tui_vae.ui.images.pairs import ImagePairs
from tui_vae.ui.new_run import forecast
from tui_vae.ui.new_run.fields import Choice, Field, Fields
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.run_screen import RunScreen
from tui_vae.ui.session import RunSession
from tui_vae.ui.start_screen import StartScreen

DEMO = Path(__file__).parents[2] / "checkpoints" / "demo"


class Trainers:
    """Stands in for `runs.launch`: every start makes a fake process in the run."""

    def __init__(self) -> None:
        self.started: list[tuple[RunDirectory, int]] = []
        self.processes: list[FakeProcess] = []

    def start(self, directory: RunDirectory, more_epochs: int = 0, leave_core: bool = False) -> None:
        self.started.append((directory, more_epochs))
        self.processes.append(FakeProcess(directory, "train"))
        self.processes[-1].log(StateEvent(state="training"))


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainers]:
    trainers = Trainers()
    monkeypatch.setattr(launch, "start_training", trainers.start)
    yield trainers
    for process in trainers.processes:
        process.die()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


@pytest.fixture
def live(run: RunDirectory) -> Iterator[FakeProcess]:
    with FakeProcess(run, "train", step=705) as process:
        process.log(StateEvent(state="training"))
        yield process


def told(app: TuiVae) -> list[str]:
    """What toasts have said."""
    return [notification.message for notification in app._notifications]


async def opened(app: TuiVae, pilot: Pilot[str]) -> None:
    await until(pilot, lambda: app.session is not None and app.session.caught_up)


@in_event_loop
async def test_one_key_starts_the_default(tmp_path: Path, trainers: Trainers) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        assert isinstance(app.screen, StartScreen)
        await pilot.press("enter")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        assert isinstance(app.screen, RunScreen) and app.session is not None and app.session.name == "fashion-1"
        assert app.session.directory.read_config().epochs == 10


@in_event_loop
async def test_the_start_screen_opens_runs_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "older", "demo")):
        directory = make_run(tmp_path, name, epochs=1)
        os.utime(directory.events, (1e9 - age, 1e9 - age))
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count > 1)
        shown = [option.id for option in options.options if option.id and not option.id.startswith("train:")]
        assert shown == ["describe", "run:newest", "run:older", "run:demo"]
        await pilot.press("end", "up", "enter")
        await opened(app, pilot)
        assert app.session is not None and app.session.name == "older"


@in_event_loop
@pytest.mark.parametrize(("width", "columns"), [(80, "epochs mse bits/px"), (120, "epochs test loss mse bits/px")])
async def test_a_run_with_a_long_name_stays_a_line_on_the_start_screen(
    tmp_path: Path, width: int, columns: str
) -> None:
    for number in range(3):
        make_run(tmp_path, f"sweep-latent-dim-{number}-beta-4", epochs=1)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(width, 24)) as pilot:
        lines = (await seen(app, pilot, "sweep-latent-dim-2-beta-4")).splitlines()
        (heading,) = (line for line in lines if line.split()[:2] == ["run", "state"])
        assert " ".join(heading.split()[2:]) == columns
        rows = lines[lines.index(heading) + 1 :][:3]
        assert all("sweep-latent-dim-" in row and row.rstrip().endswith(" ago") for row in rows)


@in_event_loop
async def test_a_run_that_is_deleted_while_the_start_screen_lists_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = (make_run(tmp_path, name, epochs=1) for name in ("gone", "stays"))

    def deleted_once_listed(runs_dir: Path) -> list[RunDirectory]:
        found = list_runs(runs_dir)
        shutil.rmtree(gone.path)
        return found

    monkeypatch.setattr("tui_vae.ui.start_screen.list_runs", deleted_once_listed)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: any((option.id or "").startswith("run:") for option in options.options))
        assert [option.id for option in options.options][-1] == f"run:{stays.name}"
        assert not any("gone" in (option.id or "") for option in options.options)


@in_event_loop
async def test_the_start_screen_shows_what_the_run_under_the_cursor_has_learnt(tmp_path: Path) -> None:
    shutil.rmtree(make_run(tmp_path, "empty", epochs=1).previews)
    shutil.copytree(DEMO, tmp_path / "demo")
    app = TuiVae(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        options, images = app.screen.query_one(OptionList), app.screen.query_one(ImagePairs)
        await until(pilot, lambda: options.option_count > 4)
        assert not blocks(images)
        options.highlighted = options.get_option_index("run:demo")
        await until(pilot, lambda: blocks(images) > 0)
        options.highlighted = options.get_option_index("run:empty")
        await until(pilot, lambda: not blocks(images))


def blocks(images: ImagePairs) -> int:
    """How many cells of a strip hold half an image or more."""
    lines = [images.render_line(y).text for y in range(images.size.height)]
    return sum(not sign.isspace() for line in lines for sign in line)


@in_event_loop
async def test_the_form_checks_fills_and_starts(tmp_path: Path, trainers: Trainers) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        await pilot.press(*"my-run", "down", "right")  # the name, then the other preset
        await pilot.pause()
        assert form.query_one("#field-hidden Input", Input).value == "256"
        latent = form.query_one("#field-latent-dim Input", Input)
        latent.focus()
        await pilot.press(*"0")
        reason = str(form.query_one("#field-latent-dim .about", Label).content)
        assert "at least 1" in reason and form.query_one("#field-latent-dim").has_class("-wrong")
        await pilot.press("enter")  # refused
        assert form.is_current
        await pilot.press("backspace", *"7")
        await pilot.pause()
        assert str(form.query_one("#command", Static).content) == (
            "tui-vae train --preset seed --name my-run --latent-dim 7"
        )
        assert ("parameters", "408,094") in forecast.facts(form._config(), form._throughputs)
        await pilot.press("ctrl+y")
        assert app.clipboard == "tui-vae train --preset seed --name my-run --latent-dim 7"
        await pilot.press("enter")
        await until(pilot, lambda: bool(trainers.started))
        config = trainers.started[0][0].read_config()
        assert (config.name, config.preset, config.latent_dim, config.objective) == ("my-run", "seed", 7, "mse")


@in_event_loop
async def test_the_form_is_whole_in_a_small_terminal(run: RunDirectory) -> None:
    """Every field can be reached, is seen when it is, and the frame tells how much is out of sight."""
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        fields = form.query_one(Fields)
        await until(pilot, lambda: "more" in str(fields.border_subtitle))
        reached = []
        for _ in options():
            assert form._field is not None
            reached.append(form._field.option_name)
            await until(
                pilot, lambda: form._field is not None and fields.content_region.contains_region(form._field.region)
            )
            assert form._field.option.help in str(form.query_one("#explain", Static).content)
            await pilot.press("down")
        assert reached == list(options())
        assert "parameters" in str(form.query_one("#forecast", Static).content)


@in_event_loop
async def test_values_that_make_no_sense_together_are_told_before_the_start(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(given: Mapping[str, Any]) -> RunConfig:
        if given.get("beta") == "3":
            raise UsageError("beta 3 is out of fashion")
        return make_config(given)

    monkeypatch.setattr("tui_vae.ui.new_run.screen.make_config", make)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        form.query_one("#field-beta Input", Input).value = "3"
        await until(pilot, lambda: "out of fashion" in str(form.query_one("#command", Static).content))
        await pilot.press("enter")
        await until(pilot, lambda: any("out of fashion" in message for message in told(app)))
        assert form.is_current


@in_event_loop
async def test_the_form_tells_what_the_preset_has_not(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("n", *run.name)
        form = app.screen
        assert isinstance(form, NewRun)
        await pilot.pause()
        assert "already" in str(form.query_one("#command", Static).content)  # told before the start, not after it
        await pilot.press("enter")
        assert form.is_current
        await pilot.press("ctrl+r")
        objective = form.query_one("#field-objective", Field)
        objective.query_one(Choice).focus()
        await pilot.press("m")  # of mse
        await pilot.pause()
        changed = [field.option_name for field in form.query(Field) if field.has_class("-changed")]
        assert changed == ["objective"] and objective.text == "mse"
        about = str(form.query_one("#explain", Static).content)
        assert "preset default: sigma" in about and all(choice in about for choice in objective.option.choices)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert form._config() == make_config({}) and not form.query("Field.-changed")
        form.query_one("#field-data-dir Input", Input).focus()
        await pilot.press(*"nowhere")
        await pilot.pause()
        assert "no folder" in form.query_one("#field-data-dir", Field).reason


@in_event_loop
async def test_steering_a_living_run(run: RunDirectory, live: FakeProcess) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("space")
        await until(pilot, lambda: app.session is not None and app.session.state == "paused")
        await pilot.press("space")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        await pilot.press("+", "+", "]", "s")
        await until(pilot, lambda: protocol.Checkpoint() in live.asked)
        assert live.lr == pytest.approx(2e-3 * 1.25**2) and live.beta == pytest.approx(1.25)
        assert live.asked.count(protocol.Set(lr_factor=1.25)) == 2
        assert live.asked.count(protocol.Set(beta_factor=1.25)) == 1
        await until(pilot, lambda: "Learning rate 0.00313" in told(app))
        live.beta = 0
        await pilot.press("[")
        await until(pilot, lambda: "β is 0 and stays 0; ] raises it." in told(app))
        await pilot.press("r")
        await until(pilot, lambda: any("already" in message for message in told(app)))
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
        await pilot.press("enter")  # the lock is this test's own
        await until(pilot, lambda: any("not one that can be killed" in message for message in told(app)))
        monkeypatch.setattr(steering, "signal_trainer", kill)
        await pilot.press("x", "down", "enter", "enter")
        await until(pilot, lambda: app.session is not None and app.session.state == "crashed")
        await pilot.pause(0.3)
        assert killed == [(run, signal.SIGKILL)] and not any("continues from" in message for message in told(app))


@in_event_loop
async def test_keys_that_make_no_sense_say_why(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:

        async def press(key: str) -> None:
            before = len(told(app))
            await pilot.press(key)
            await until(pilot, lambda: len(told(app)) > before)

        await opened(app, pilot)
        for key in ("space", "s", "+", "[", "x"):
            await press(key)
            assert "fashion-1 is finished; r trains more epochs" in told(app)[-1]


@in_event_loop
async def test_a_finished_run_asks_for_more_epochs(run: RunDirectory, trainers: Trainers) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("r", *"5", "enter")
        await until(pilot, lambda: bool(trainers.started))
        assert trainers.started == [(run, 5)]
        await until(pilot, lambda: app.session is not None and app.session.state == "training")


@in_event_loop
async def test_a_crash_is_noticed_and_can_be_resumed(run: RunDirectory, trainers: Trainers) -> None:
    run.log.write_text("Traceback (most recent call last):\nMemoryError: no more\n")
    process = FakeProcess(run, "train")
    process.log(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        assert app.session is not None and app.session.state == "training"
        process.die()
        await until(pilot, lambda: any("MemoryError: no more" in message for message in told(app)), seconds=3)
        assert app.session.state == "crashed"
        await pilot.press("r")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        assert trainers.started == [(run, 0)]


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
        assert app.session is not None and app.session.state == "stopped" and told(app) == []


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


@in_event_loop
async def test_leaving_says_how_to_come_back(run: RunDirectory, live: FakeProcess) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("q")
    assert app.return_value is not None
    assert "training of fashion-1 goes on" in app.return_value and "tui-vae attach fashion-1" in app.return_value


@in_event_loop
async def test_name_command_and_picture_of_a_run_can_be_taken_away(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUI_VAE_RUNS", str(run.path.parent))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        offered = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        offered["Copy the name of the run"]()
        assert app.clipboard == "fashion-1"
        offered["Copy the command that comes back to the run"]()
        assert app.clipboard == "tui-vae attach fashion-1"
        offered["Save a picture of the screen"]()
        await until(pilot, lambda: bool(list(tmp_path.glob("tui-vae-fashion-1-*.svg"))))
        (picture,) = tmp_path.glob("*.svg")
        assert "reconstruction" in picture.read_text().replace("&#160;", " ")


@in_event_loop
async def test_keys_of_the_users_own(run: RunDirectory, live: FakeProcess) -> None:
    settings.config_file().write_text(
        '[keys]\nrun.pause = "ctrl+t"\n"pane.browse" = "f5"\n"run.stpo" = "z"\nrun.save = "n"\nrun.export = 3\n'
    )
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: any("no command run.stpo (did you mean run.stop?)" in said for said in told(app)))
        assert any("run.save cannot have the key n: run.new has it" in said for said in told(app))
        assert any("the keys of run.export must be a text" in said for said in told(app))
        await pilot.press("space", "ctrl+t")
        await until(pilot, lambda: app.session is not None and app.session.state == "paused")
        await pilot.press("s")  # its usual key
        await until(pilot, lambda: protocol.Checkpoint() in live.asked)
        await pilot.press("f5")
        await until(pilot, lambda: app.preferences.pane == "browse")


@in_event_loop
async def test_habits_are_kept_from_one_session_to_the_next(run: RunDirectory) -> None:
    with FakeProcess(run, "serve"):
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(120, 32)) as pilot:
            await opened(app, pilot)
            app.action_turn_theme()
            app.action_turn_pen()
            await pilot.press("2")
            await until(pilot, lambda: settings.read_preferences().pane == "browse")
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(120, 32)) as pilot:
            await until(pilot, lambda: bool(app.screen.query("#browse")))
            assert app.theme == theme.LIGHT.name and app.pen.toning is Toning.INVERTED
    settings.preferences_file().write_text("{")
    assert settings.read_preferences() == settings.Preferences()
    settings.preferences_file().unlink()
    settings.preferences_file().parent.rmdir()
    settings.preferences_file().parent.write_text("a file is in the way")
    settings.write_preferences(b"{}")
    assert settings.read_preferences() == settings.Preferences()


def test_forecasts(run: RunDirectory) -> None:
    assert forecast.parameters_of(RunConfig()) == 1_094_992
    assert forecast.parameters_of(make_config({"preset": "seed"})) == 418_104
    known = forecast.read_throughputs(run.path.parent)
    assert forecast.seconds_of(RunConfig(device="cuda"), known) is None
    expected = forecast.seconds_of(RunConfig(epochs=10), known)  # an epoch took 2.6 s
    assert expected is not None and expected[0] == pytest.approx(26, rel=0.01) and expected[1] == "cpu"
    own = replace(RunConfig(), model="own:Net")  # nobody's arithmetic: known from the first run of its kind
    assert forecast.parameters_of(own, known) is None and forecast.seconds_of(own, known) is None
    assert "when it starts" in forecast.summary(own, known)
    such = [forecast.Throughput("cpu", 5_000_000, 1000.0, forecast.shape_of(own.to_dict())), *known]
    assert forecast.parameters_of(own, such) == 5_000_000 and forecast.seconds_of(own, such) == (600.0, "cpu")
    assert (
        forecast.summary(RunConfig(), known)
        == "1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 0:26 on cpu"
    )


@in_event_loop
async def test_every_key_has_an_id_a_tooltip_and_a_line_in_the_help(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(120, 50)) as pilot:
            await opened(app, pilot)
            for pane in ("1", "2"):
                await pilot.press(pane)
                found = commands(app, app.screen.active_bindings.values())
                assert all(command.tooltip for command in found)
                ids = [command.binding.id for command in found]
                assert len(ids) == len(set(ids))
                await pilot.press("question_mark")
                assert isinstance(app.screen, Help)
                await pilot.pause()
                written = "\n".join(line.text.strip() for line in app.screen.query_one(HelpText).draw())
                assert all((command.binding.id or "?") in written for command in found)
                assert str(settings.config_file()) in written.replace("\n", "")
                await pilot.press("escape")
                names = [command.title for command in app.get_system_commands(app.screen_stack[-1])]
                assert {command.tooltip for command in found if command.action != "command_palette"} <= set(names)


@in_event_loop
async def test_the_help_scrolls_and_hides_what_is_below_it(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with FakeProcess(run) as process:
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            below = app.screen
            assert isinstance(below, RunScreen) and below.pane is not None

            def scrolled() -> float:
                return app.screen.query_one(VerticalScroll).scroll_y

            for _ in range(2):  # the second time it is the one that was made before, at its start again
                await pilot.press("question_mark")
                assert scrolled() == 0
                await pilot.press("down", "down")
                await until(pilot, lambda: scrolled() == 2)
                await pilot.press("pagedown")
                await until(pilot, lambda: scrolled() > 10)
                await pilot.press("question_mark")
                assert below.is_current
            await pilot.press("question_mark")
            drawn = mock.Mock()
            with mock.patch.object(below.pane, "refresh_history", drawn):
                process.log(StateEvent(state="paused"))
                await until(pilot, lambda: below.session.state == "paused")
                await pilot.pause(0.3)
                drawn.assert_not_called()
                await pilot.press("q")
                await until(pilot, lambda: drawn.called)


def test_the_first_paint_needs_no_heavy_imports() -> None:
    program = (
        "import sys, tui_vae.ui.app, tui_vae.ui.start_screen, tui_vae.ui.run_screen;"
        "print(*sorted({'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
