"""`A` in Runs: a form filled in like a run, which may come from a stranger."""

from pathlib import Path

from textual.widgets import Input

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, notifications, screen, until
from tui_vae.config.own_code import NotTrusted, check_allowed
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.dialogs import Confirm
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.runs.pane import RunsPane


@in_event_loop
async def test_a_strangers_end_command_does_not_get_into_the_form(tmp_path: Path) -> None:
    run = make_run(tmp_path, "theirs", epochs=1)
    run.config.write_text(run.config.read_text().replace('on-end = "none"', 'on-end = "touch /tmp/x"'))
    assert run.read_config().on_end == "touch /tmp/x"
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: bool(app.screen.query(RunsPane)) and len(app.screen.query_one(RunsPane).rows) == 1)
        await pilot.press("A")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        await until(pilot, lambda: any("touch /tmp/x" in each and "left out" in each for each in notifications(app)))
        assert app.screen.query_one("#field-on-end Input", Input).value == "none"


@in_event_loop
async def test_a_strangers_model_gets_into_the_form_only_by_a_clear_yes(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "brought_model.py").write_text("raise SystemExit('it was run')\n")
    run = make_run(tmp_path, "theirs", epochs=1)
    text = run.config.read_text().replace('model = "mlp"', 'model = "brought_model:Net"')
    run.config.write_text(text.replace('model-dir = "auto"', f'model-dir = "{work}"'))
    assert run.read_config().model_dir == str(work)
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: bool(app.screen.query(RunsPane)) and len(app.screen.query_one(RunsPane).rows) == 1)
        for answer in ("enter", "escape", "y"):
            await pilot.press("A")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            assert "brought_model.py" in screen(app) and "Run the code of theirs?" in screen(app)
            assert not is_known(run)
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(app.screen, Confirm))
            assert is_known(run) == (answer == "y")
        await until(pilot, lambda: isinstance(app.screen, NewRun))


def is_known(run: RunDirectory) -> bool:
    """Whether the user has allowed the code of its model."""
    try:
        return check_allowed(run.read_config()) is not None
    except NotTrusted:
        return False
