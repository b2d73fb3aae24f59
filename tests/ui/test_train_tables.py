"""Train's table of epochs, which sorts and moves the charts' cursor, and the search in its log."""

from pathlib import Path

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.runs import events as ev
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
        await pilot.press(*"z")
        assert "enter" not in (await seen(app, pilot, "no line with 'cuda [out]z'")).partition("no line with")[2]
        await pilot.press("escape")
        assert app.screen.query_one(LogPane).has_focus and "lines with" not in screen(app)
        await pilot.press("G")
        await seen(app, pilot, "line 299")
        await pilot.press("escape")
        await seen(app, pilot, "reconstruction")


@in_event_loop
async def test_the_rest_of_a_long_line_begins_below_its_message(run: RunDirectory) -> None:
    run.log.write_text("  File loop.py: " + "deep " * 40 + "end\n")
    log = ev.EventLog(run.events)
    log.write(ev.WarningEvent(message="the disk is nearly full, " * 6 + "now", hint="make room, " * 9 + "soon"))
    log.close()
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("w")
        for width, message, output in ((80, 19, 4), (48, 19, 4), (40, 2, 4), (100, 19, 4)):
            await pilot.resize_terminal(width, 60)
            await pilot.pause()
            await seen(app, pilot, "end")
            lines = [line[2:-1].rstrip() for line in screen(app).split("\n")]
            first = next(at for at, line in enumerate(lines) if "warning  the disk" in line)
            last = next(at for at, line in enumerate(lines) if "soon" in line)
            begin = {len(line) - len(line.lstrip()) for line in lines[first + 1 : last + 1]}
            assert begin <= {message, 19} and message in begin and last - first > 2
            rest = lines[next(at for at, line in enumerate(lines) if "File loop.py" in line) + 1 :]
            assert all(line.startswith(" " * output + "deep") for line in rest[:2])
