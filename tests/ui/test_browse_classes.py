"""Browse: classes of the test set, the worst ones, many of them, and none."""

import re
from array import array
from pathlib import Path

import msgspec
import pytest

from tests.support.browsing import browse, opening, shown
from tests.support.fake_run import CLASSES, FakeProcess, figures_after, images, make_run
from tests.support.piloting import in_event_loop, screen, seen, until
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.epoch_details import EpochDetail
from tui_vae.runs.events import ByClass, EpochEvent, EventLog
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.classes import ClassTable
from tui_vae.ui.browse.pane import BrowsePane
from tui_vae.ui.model_status import ModelStatus
from tui_vae.ui.test_set import ClassError


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


class Unlabelled(FakeProcess):
    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        reply = super()._answer(request)
        if isinstance(reply, protocol.Description):
            return msgspec.structs.replace(reply, labels=b"", classes=(), images=len(images()))
        if isinstance(reply, (protocol.Reconstructions, protocol.Errors)):
            return msgspec.structs.replace(reply, labels=b"")
        return reply


@in_event_loop
async def test_the_worst_classes_lead_to_their_worst_images(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("W")
            table = pane.query_one(ClassTable)
            await until(pilot, lambda: len(table.rows) == len(CLASSES))
            means = [row.mean for row in table.rows]
            assert table.display and not pane.grid.display and means == sorted(means, reverse=True)
            await pilot.press("down", "enter")
            await until(pilot, lambda: pane.grid.display and shown(pane) == pane.selection.pager.shown)
            assert {pair.label for pair in pane.grid.pairs} == {table.rows[1].name}
            errors = [pair.mse or 0 for pair in pane.grid.pairs]
            assert errors == sorted(errors, reverse=True)
            assert ("measured", "now") in [(item.label, item.value) for item in pane.query_one(ModelStatus).facts.items]
            asked = process.asked.count(protocol.TestErrors())
            process.step += 500
            await pilot.press("U")
            await until(pilot, lambda: pane.selection.errors is not None and pane.selection.errors.step == process.step)
            assert process.asked.count(protocol.TestErrors()) == asked + 1


@in_event_loop
async def test_images_without_labels_are_browsed_and_classes_said_to_be_missing(run: RunDirectory) -> None:
    log = run.events.read_bytes()
    assert b'"classes":["T-shirt/top"' in log
    run.events.write_bytes(re.sub(rb'"classes":\[[^]]*\]', b'"classes":[]', log))
    app = opening(run)
    with Unlabelled(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            keys = screen(app).splitlines()[-1]
            assert "order" in keys and "class" not in keys
            assert shown(pane)[:3] == [0, 1, 2] and "class" not in str(pane.query_one(ModelStatus).render())
            for key in ("c", "W"):
                await pilot.press(key)
                await until(pilot, lambda: any("have no labels" in note.message for note in app._notifications))
                app.clear_notifications()
            assert not pane.query_one(ClassTable).display
            await pilot.press("o")
            await until(pilot, lambda: pane.selection.errors is not None and pane.weights is not None)


@in_event_loop
async def test_a_long_table_of_classes_follows_the_selected_one(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await browse(app, pilot)
            table = pane.query_one(ClassTable)
            rows = [ClassError(at, f"kind {at}", 1, 1 / (1 + at), 1.0) for at in range(300)]
            await pilot.press("W")
            await until(pilot, lambda: bool(table.rows))
            table.show(rows)
            await pilot.press("G")
            assert table.selected == 299
            await pilot.press("g")
            assert table.selected == 0
            table.step(250)

            def drawn() -> str:
                return "".join(segment.text for tile in table.tiles(table.size) for segment in tile.lines[0])

            assert "kind 250 " in drawn() and "kind 0 " not in drawn()
            table.step(-300)
            assert "kind 0 " in drawn() and len(list(table.tiles(table.size))) <= table.size.height


@in_event_loop
async def test_beside_its_error_stands_how_error_and_kl_of_a_class_went(tmp_path: Path) -> None:
    """From the log, which an older version has not written: then only the errors are there."""
    run = make_run(tmp_path, epochs=3)
    with FakeProcess(run, "serve"):
        for width, known in ((80, False), (80, True), (160, True)):
            if known:
                log = EventLog(run.events)
                for epoch in range(1, 4):
                    of_class = ByClass(tuple(0.01 * (label + 1) / epoch for label in range(10)), (2.0 * epoch,) * 10)
                    figures = msgspec.structs.replace(figures_after(epoch), kl_per_dim=(1.0,))
                    log.write(EpochEvent(epoch=epoch, step=epoch * 235, seconds=1.0, images_per_s=1.0, train=figures,
                                         test=figures, by_class=of_class))  # fmt: skip
            app = TuiVae(tmp_path, run)
            async with app.run_test(size=(width, 30)) as pilot:
                await pilot.press("2")
                browse = app.screen.query_one(BrowsePane)
                await until(pilot, lambda browse=browse: browse.weights is not None)  # type: ignore[misc]
                await pilot.press("W")
                if not known:
                    assert " KL " not in await seen(app, pilot, "worst   images")
                    continue
                text = await seen(app, pilot, "KL  epochs")
                line = next(each for each in text.splitlines() if "Ankle boot" in each)
                assert re.search(r" [█▆▇]\S+ +6\.00 +[▁_]\S*[█^]", line), line
                assert max(len(each.rstrip()) for each in text.splitlines()) <= width


def test_a_log_with_fewer_errors_than_kls_is_drawn() -> None:
    table = ClassTable()
    table.details = [EpochDetail(1, 10, array("f"), array("f", [0.1]), array("f", [1.0, 2.0]))]
    assert [text.strip() for text, _ in table._trends(0, 8)][2] == "1.00"
    assert "".join(text for text, _ in table._trends(1, 8)).strip() == ""
