"""Train's table of epochs, which sorts and moves the charts' cursor, and the search in its log."""

from pathlib import Path

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.ui.app import TuiVae
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.log_pane import LogPane
from tui_vae.ui.train.pane import TrainPane


def rows(table: EpochTable) -> list[str]:
    return [table.render_line(y).text.split()[0].rstrip("*") for y in range(1, table.size.height)]


@in_event_loop
async def test_the_table_of_epochs_sorts_and_moves_the_cursor_of_the_charts(tmp_path: Path) -> None:
    run = make_run(tmp_path, epochs=20, planned=20)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(160, 44)) as pilot:
        await opened(app, pilot)
        pane, table = app.screen.query_one(TrainPane), app.screen.query_one(EpochTable)
        await until(pilot, lambda: len(table._epochs) == 20 and rows(table)[-1] == "20")
        table.focus()
        await pilot.press("k", "k", "k")
        assert pane.cursor == read_history(run.events).epochs[17].step
        await seen(app, pilot, "epoch 18")
        await pilot.press("g")
        assert pane.cursor == 235.0 and rows(table)[0] == "1"
        await pilot.press("right")  # the charts' cursor leads the table's as well
        await pilot.press("escape")
        assert pane.cursor is None and table._chosen is None
        await pilot.press(">", ">")
        await until(pilot, lambda: rows(table)[:3] == ["20", "19", "18"])
        assert "↑" in table.render_line(0).text
        await pilot.press("!")
        await until(pilot, lambda: rows(table)[:3] == ["1", "2", "3"])


@in_event_loop
async def test_words_are_found_in_the_log(run: RunDirectory) -> None:
    lines = [f"line {number}" for number in range(300)]
    lines[40] = lines[250] = "CUDA [out] of memory, which is a long sentence " * 4
    run.log.write_text("\n".join(lines))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("w")
        await seen(app, pilot, "line 299")
        await pilot.press("/", *"cuda [out]")
        shown = await seen(app, pilot, "2 of 2 lines with 'cuda [out]'")
        assert "CUDA [out] of memory" in shown and "line 251" in shown
        await pilot.press("enter")
        shown = await seen(app, pilot, "1 of 2 lines")
        assert "CUDA [out] of memory" in shown and "line 41" in shown
        await pilot.press("escape")
        assert app.screen.query_one(LogPane).has_focus and "lines with" not in screen(app)
        await pilot.press("G")
        await seen(app, pilot, "line 299")
        await pilot.press("escape")
        await seen(app, pilot, "reconstruction")
