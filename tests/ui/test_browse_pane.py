"""Browse: paging, classes, order, one image large, the time-lapse, and runs whose model is not in memory."""

import threading
from functools import partial
from pathlib import Path

import msgspec
import pytest
from textual.geometry import Region

from tests.support.browsing import browse, opening, shown
from tests.support.fake_run import CLASSES, FakeProcess, blurred, images, make_run
from tests.support.piloting import in_event_loop, notifications, screen, until
from tui_vae.runs import launch, protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EventLog, StateEvent, StepEvent
from tui_vae.ui import settings
from tui_vae.ui.browse.classes import ClassTable
from tui_vae.ui.browse.one_image import STRIP, OneImage
from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.browse.pane import STILL_LOADING, BrowsePane
from tui_vae.ui.images.canvas import CanvasColumn


def make_live(run: RunDirectory) -> None:
    EventLog(run.events).write(StateEvent(state="training"))


def advance(process: FakeProcess) -> None:
    """Newer weights, and the event that tells of them."""
    process.step += 100
    process.log(StepEvent(epoch=8, step=process.step, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1,
                          images_per_s=1))  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


@in_event_loop
async def test_the_word_that_the_model_is_being_loaded_goes_when_it_is(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            pane.weights = None
            await pilot.press("enter")
            await until(pilot, lambda: STILL_LOADING in notifications(app))
            pane._load()
            await until(pilot, lambda: pane.weights is not None and STILL_LOADING not in notifications(app))


@in_event_loop
async def test_paging_class_and_order(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            page = pane.grid.capacity
            assert shown(pane) == list(range(page)) and page > 4
            await pilot.press("pagedown")
            await until(pilot, lambda: shown(pane) == list(range(page, 2 * page)))
            await pilot.press("left")  # over the edge, back to the page before
            await until(pilot, lambda: shown(pane) == list(range(page)))
            assert pane.selection.pager.current == page - 1
            await pilot.press("c", "c", "c")
            await until(pilot, lambda: shown(pane)[:3] == [2, 12, 22])
            assert {pair.label for pair in pane.grid.pairs} == {CLASSES[2]}
            await pilot.press("o")
            await until(pilot, lambda: pane.selection.errors is not None and shown(pane) == pane.selection.pager.shown)
            errors = [pair.mse or 0 for pair in pane.grid.pairs]
            assert errors == sorted(errors, reverse=True)


@in_event_loop
async def test_marked_images_are_remembered(run: RunDirectory) -> None:
    with FakeProcess(run, "serve"):
        app = opening(run)
        async with app.run_test(size=(120, 36)) as pilot:
            await browse(app, pilot)
            await pilot.press("m", "right", "m", "right", "m", "m")
            await until(pilot, lambda: list(settings.read_preferences().marks.values()) == [[0, 1]])
        app = opening(run)
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("C")
            await until(pilot, lambda: shown(pane) == [0, 1])
            await pilot.press("m")
            await until(pilot, lambda: pane.selection.marked == [1])


@in_event_loop
async def test_newer_weights_repaint_no_original(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opening(run)
    with FakeProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("z")  # full size, with the words beside the images
            await until(pilot, lambda: len(shown(pane)) == pane.grid.capacity)
            columns = list(pane.grid.query(CanvasColumn))
            assert len(columns) == 2 * pane.grid.columns
            await until(pilot, lambda: all(column.size.width for column in columns))
            repainted: set[CanvasColumn] = set()

            def note(column: CanvasColumn, *regions: Region) -> None:
                if len(regions) > 2:
                    repainted.add(column)

            for column in columns:
                monkeypatch.setattr(column, "refresh", partial(note, column))
            process.step += 3000
            pane._load()
            await until(pilot, lambda: pane.weights is not None and pane.weights[1] == process.step)
            assert repainted == set(columns[1::2])


@in_event_loop
async def test_size_and_palette_are_remembered(run: RunDirectory) -> None:
    with FakeProcess(run, "serve"):
        app = opening(run)
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            most = pane.grid.capacity  # the size that shows the most pairs
            await pilot.press("z", "p")
            await until(pilot, lambda: len(shown(pane)) == pane.grid.capacity < most)
            await until(pilot, lambda: settings.read_preferences().image_size == "full")
        app = opening(run)
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            assert pane.grid.capacity < most and app.renderer.toning.value == settings.read_preferences().toning != ""


@in_event_loop
async def test_large_images_leave_the_layout_alone(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    big = [bytes(4096), bytes([200]) * 4096]
    plain = FakeProcess._answer

    def answer(process: FakeProcess, request: protocol.AnyRequest) -> protocol.AnyReply:
        reply = plain(process, request)
        if isinstance(reply, protocol.Reconstructions):
            many = len(reply.indices)
            return msgspec.structs.replace(reply, originals=big[1] * many, reconstructions=big[0] * many, width=64)
        return reply

    monkeypatch.setattr(FakeProcess, "_answer", answer)
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await browse(app, pilot)
            assert len(pane.grid.pairs) == pane.grid.capacity == 4
            assert {len(pair.original.pixels) if pair.original else 0 for pair in pane.grid.pairs} == {4096}
            await pilot.press("enter")
            await until(pilot, lambda: pane.query_one(OneImage).display)
            view = pane.query_one(OneImage)
            assert all(tile.x + tile.width <= view.size.width for tile in view.tiles(view.size))


@in_event_loop
async def test_the_difference_takes_the_reconstructions_place(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            size = pane.grid.size
            before = {(tile.x, tile.y): tile.lines for tile in pane.grid.tiles(size)}
            await pilot.press("d")
            after = {(tile.x, tile.y): tile.lines for tile in pane.grid.tiles(size)}
            assert before.keys() == after.keys()  # nothing moves
            changed = [at for at in before if before[at] != after[at]]
            assert len(changed) == len(pane.grid.pairs)
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: f"difference full at ±{pane.grid.full} %" in screen(app))


@in_event_loop
@pytest.mark.parametrize("worst_first", [False, True])
async def test_an_ended_run_shows_the_weights_it_ended_with(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, worst_first: bool
) -> None:
    """The trainer leaves while the page is watched: its last images are asked of a process that serves the rest."""
    serving: list[FakeProcess] = []

    def start_serving(directory: RunDirectory) -> None:
        serving.append(FakeProcess(directory, "serve", step=2000))

    monkeypatch.setattr(launch, "start_serving", start_serving)
    make_live(run)
    app = opening(run)
    trainer = FakeProcess(run, "train")
    async with app.run_test(size=(120, 36)) as pilot:
        pane = await browse(app, pilot)
        assert pane.weights == (7, 1645)
        if worst_first:
            await pilot.press("o")
            await until(pilot, lambda: pane.selection.errors is not None)
        trainer.log(
            StepEvent(epoch=9, step=2000, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1, images_per_s=1),
            StateEvent(state="finished"),
        )
        trainer.die()
        await until(pilot, lambda: pane.weights is not None and pane.weights[1] == 2000)
        first = pane.grid.pairs[0]
        assert first.reconstruction.pixels == blurred(images()[first.index or 0], 2000)
        if worst_first:
            errors = pane.selection.errors
            assert errors is not None and errors.step == 2000
        asked = len(serving[0].asked)
        pane._follow()
        await pilot.pause(0.1)
        assert len(serving) == 1 and len(serving[0].asked) == asked  # once is enough
    serving[0].die()


@in_event_loop
async def test_one_image_large(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("right", "enter")
            view = pane.query_one(OneImage)
            assert view.display and view.pair is not None and view.pair.index == 1
            assert view.pair.reconstruction.pixels == blurred(images()[1], process.step)
            await pilot.press("right")
            await until(pilot, lambda: view.pair is not None and view.pair.index == 2)
            await pilot.press(":", *"57", "enter")
            await until(pilot, lambda: view.pair is not None and view.pair.index == 57)
            await pilot.press("escape")
            assert not view.display
            await until(pilot, lambda: 57 in shown(pane))
            await pilot.click(PairGrid, offset=(pane.grid.grid.corner[0] + 3, 3))
            first = 57 // pane.grid.capacity * pane.grid.capacity
            await until(pilot, lambda: view.display and view.pair is not None and view.pair.index == first)


@in_event_loop
async def test_the_images_around_a_large_one(run: RunDirectory) -> None:
    """They are asked for with it, stand below it where there is room, and a click leads to one of them."""
    app = opening(run)
    with FakeProcess(run, "serve") as process:
        async with app.run_test(size=(160, 48)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press(":", *"57", "enter", "enter")
            view = pane.query_one(OneImage)
            await until(pilot, lambda: [pair.index for pair in view.strip] == list(range(50, 60)))
            assert view.strip[0].reconstruction.pixels == blurred(images()[50], process.step)
            line = view.size.height - STRIP
            told = [tile.lines[0][0].text.strip() for tile in view.tiles(view.size) if tile.y == line]
            assert told == [f"#{index}" + " ◂" * (index == 57) for index in range(50, 60)]
            await pilot.click(OneImage, offset=(view.size.width // 2 - 1, line + 5))
            await until(pilot, lambda: view.pair is not None and view.pair.index == 54)
            await pilot.press("home")
            await until(pilot, lambda: [pair.index for pair in view.strip] == list(range(10)))
            await pilot.resize_terminal(120, 36)
            await pilot.press("right")
            await until(pilot, lambda: view.pair is not None and view.pair.index == 1)
            assert not any("#" in tile.lines[0][0].text for tile in view.tiles(view.size) if tile.x == 0)
            await pilot.resize_terminal(200, 60)
            await until(pilot, lambda: [pair.index for pair in view.strip] == list(range(13)))
            before = view.strip
            await pilot.press("right")
            await until(pilot, lambda: view.pair is not None and view.pair.index == 2)
            assert view.strip is before  # they were there


@in_event_loop
async def test_living_runs_are_followed_until_frozen(run: RunDirectory) -> None:
    app = opening(run)
    make_live(run)
    with FakeProcess(run, "train") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            before = pane.grid.pairs[0].reconstruction
            advance(process)
            await until(pilot, lambda: pane.weights is not None and pane.weights[1] == process.step)
            assert pane.grid.pairs[0].reconstruction != before
            await pilot.press("f")
            frozen = pane.weights
            advance(process)
            await until(pilot, lambda: app.session is not None and app.session.history.step == process.step)
            pane._follow()
            await pilot.pause(0.2)
            assert pane.weights == frozen


class SlowToMeasure(FakeProcess):
    """Answers what every image's error is once it may go on."""

    def __init__(self, directory: RunDirectory) -> None:
        self.may_go_on = threading.Event()
        super().__init__(directory, "train")

    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        if isinstance(request, protocol.TestErrors):
            self.may_go_on.wait(30)
        return super()._answer(request)


@in_event_loop
async def test_newer_weights_do_not_interrupt_a_measurement(run: RunDirectory) -> None:
    """It may take longer than the weights stay the newest: begun anew with each of them it would never end."""
    make_live(run)
    app = opening(run)
    with SlowToMeasure(run) as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("W")
            await until(pilot, lambda: protocol.TestErrors() in process.asked)
            advance(process)
            await until(pilot, lambda: app.session is not None and app.session.history.step == process.step)
            pane._follow()
            await pilot.pause(0.1)
            process.may_go_on.set()
            await until(pilot, lambda: len(pane.query_one(ClassTable).rows) == len(CLASSES))
            assert process.asked.count(protocol.TestErrors()) == 1


@in_event_loop
async def test_saved_previews_until_the_model_is_loaded(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process lives: the previews stand there at once, a serving process is started once, and then answers."""
    started: list[FakeProcess] = []

    def start_serving(directory: RunDirectory) -> None:
        started.append(FakeProcess(directory, "serve"))
        started[-1].directory.socket.rename(str(directory.socket) + ".later")  # it lives, and does not listen yet

    monkeypatch.setattr(launch, "start_serving", start_serving)
    app = opening(run)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("2")
        pane = app.screen.query_one(BrowsePane)
        await until(pilot, lambda: bool(pane.grid.pairs))
        assert pane.weights is None and pane.grid.pairs[0].mse is None and pane.grid.pairs[0].label == CLASSES[0]
        assert "being loaded" in pane.note
        await until(pilot, lambda: bool(started))
        Path(str(run.socket) + ".later").rename(run.socket)
        await until(pilot, lambda: pane.weights is not None)
        assert pane.grid.pairs[0].mse is not None and len(started) == 1
        started[0].die()


@in_event_loop
async def test_time_lapse_plays_to_its_end(run: RunDirectory) -> None:
    app = opening(run)
    with FakeProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await browse(app, pilot)
            await pilot.press("t")
            assert pane.player.film.epoch < 3 and pane.player.film.playing
            await until(pilot, lambda: not pane.player.film.playing)
            assert pane.player.film.epoch == 3
            await pilot.press("left")
            assert pane.player.film.epoch == 2
            await pilot.press("escape")
            await until(pilot, lambda: pane.grid.pairs[0].mse is not None)
            assert protocol.Pause() not in process.asked
