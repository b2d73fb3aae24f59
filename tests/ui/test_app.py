"""The app around its screens: leaving, the palette, keys of the user's own, preferences, the help."""

import subprocess
import sys
from pathlib import Path

import pytest
from textual.containers import VerticalScroll

from tests.support.fake_run import FakeProcess
from tests.support.piloting import in_event_loop, notifications, opened, screen, seen, until
from tui_vae.config.user_file import config_file
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import StateEvent
from tui_vae.ui import settings, theme
from tui_vae.ui.app import TuiVae
from tui_vae.ui.commands import commands
from tui_vae.ui.folded import entries
from tui_vae.ui.help import Help, HelpText
from tui_vae.ui.images.renderer import Toning
from tui_vae.ui.run_screen import RunScreen


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
    config_file().write_text(
        '[keys]\nrun.pause = "ctrl+t"\n"pane.browse" = "f5"\n"run.stpo" = "z"\nrun.save = "n"\nrun.export = 3\n'
    )
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await until(
            pilot, lambda: any("no command run.stpo (did you mean run.stop?)" in said for said in notifications(app))
        )
        assert any("run.save cannot have the key n: run.new has it" in said for said in notifications(app))
        assert any("the keys of run.export must be a text" in said for said in notifications(app))
        await pilot.press("space", "ctrl+t")
        await until(pilot, lambda: app.session is not None and app.session.state == "paused")
        await pilot.press("s")  # its usual key
        await until(pilot, lambda: protocol.Checkpoint() in live.asked)
        await pilot.press("f5")
        await until(pilot, lambda: app.preferences.pane == "browse")


@in_event_loop
async def test_preferences_are_kept_from_one_session_to_the_next(run: RunDirectory) -> None:
    with FakeProcess(run, "serve"):
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(120, 32)) as pilot:
            await opened(app, pilot)
            app.action_turn_theme()
            app.action_turn_toning()
            await pilot.press("2")
            await until(pilot, lambda: settings.read_preferences().pane == "browse")
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(120, 32)) as pilot:
            await until(pilot, lambda: bool(app.screen.query("#browse")))
            assert app.theme == theme.LIGHT.name and app.renderer.toning is Toning.INVERTED
    settings.preferences_file().write_text("{")
    assert settings.read_preferences() == settings.Preferences()
    settings.preferences_file().unlink()
    settings.preferences_file().parent.rmdir()
    settings.preferences_file().parent.write_text("a file is in the way")
    settings.write_preferences(b"{}")
    assert settings.read_preferences() == settings.Preferences()


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
                listed = entries(found)
                assert all(entry.names in written for entry in listed)
                assert {name for entry in listed for name in entry.ids} == set(ids)
                assert str(config_file()) in written.replace("\n", "")
                await pilot.press("escape")
                names = [command.title for command in app.get_system_commands(app.screen_stack[-1])]
                assert {command.tooltip for command in found if command.action != "command_palette"} <= set(names)


@in_event_loop
@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_help_scrolls_and_what_it_explains_goes_on_in_sight(run: RunDirectory, size: tuple[int, int]) -> None:
    app = TuiVae(run.path.parent, run)
    with FakeProcess(run) as process:
        async with app.run_test(size=size) as pilot:
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
                assert app.screen is below
            await pilot.press("question_mark")
            process.log(StateEvent(state="paused"))
            assert "reconstruction" in await seen(app, pilot, "paused")


@in_event_loop
async def test_the_help_is_searched_by_words_keys_and_names(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("question_mark")
        await seen(app, pilot, "train.gallery")
        await pilot.press(*"rate")
        await until(pilot, lambda: "train.gallery" not in screen(app))
        assert "Raise / Lower" in screen(app) and "everywhere" in screen(app)
        await pilot.press("home", "slash")
        await until(pilot, lambda: "/rate" in screen(app))
        assert "Raise / Lower" in screen(app)
        await pilot.press("end")
        await pilot.press(*"xyz")
        await seen(app, pilot, "no key is for")
        await pilot.press("escape", "question_mark")
        await seen(app, pilot, "train.gallery")


def test_the_first_paint_needs_no_heavy_imports() -> None:
    program = (
        "import sys, tui_vae.ui.app, tui_vae.ui.start_screen, tui_vae.ui.run_screen;"
        "print(*sorted({'torch', 'torchvision', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
