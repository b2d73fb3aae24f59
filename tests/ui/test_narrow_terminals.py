"""A window dragged to a column or two, for a moment: the app stays, and shows all again once there is room."""

from pathlib import Path

import pytest

from tests.support.piloting import in_event_loop
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.start_screen import StartScreen


@pytest.mark.parametrize("columns", [1, 2])
@in_event_loop
async def test_the_start_screen_and_the_form_live_in_a_column_or_two(tmp_path: Path, columns: int) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        assert isinstance(app.screen, StartScreen)
        for keys in ((), ("n",)):
            await pilot.press(*keys)
            await pilot.resize_terminal(columns, 24)
            await pilot.pause()
            await pilot.press("down")
            await pilot.resize_terminal(80, 24)
            await pilot.pause()
        assert isinstance(app.screen, NewRun)
        assert app.is_running
