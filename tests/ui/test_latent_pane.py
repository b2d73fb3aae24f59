"""Latent: points as cells, the cursor and its latent, bars; and the pane against a process that answers it."""

import struct
import threading
from array import array
from pathlib import Path

import msgspec
import pytest
from textual.widgets import Static

from tests.support import latent_process
from tests.support.fake_run import CLASSES, FakeProcess, make_run
from tests.support.latent_pane import latent
from tests.support.latent_process import (
    DIMENSIONS,
    LatentProcess,
    latent_map,
    latent_of,
    picture_of,
)
from tests.support.piloting import in_event_loop, screen, until
from tui_vae.runs import launch, protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EventLog, StateEvent, StepEvent
from tui_vae.runs.float_arrays import encode_floats
from tui_vae.ui.app import TuiVae
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.kl_bars import KlBars
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.latent.plane import Plane
from tui_vae.ui.latent.plane_view import CursorImage, Scatter
from tui_vae.ui.model_status import ModelStatus


def shown(pane: LatentPane) -> bytes | None:
    image = pane.query_one(CursorImage).image
    return image.pixels if image else None


def here(pane: LatentPane) -> bytes:
    """The image that belongs to the cursor."""
    assert pane.plane is not None
    (z,) = struct.iter_unpack(f"<{DIMENSIONS}f", encode_floats(array("f", pane.plane.latent(*pane.scatter.cursor))))
    return picture_of(z)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


@in_event_loop
async def test_the_image_follows_the_cursor(run: RunDirectory) -> None:
    """One request in flight; of the positions that are passed meanwhile only the newest is asked for."""
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            assert shown(pane) == here(pane) and pane.scatter.cursor == (0, 0)
            process.delay = 0.1
            before = len(process.decoded())
            for _ in range(12):
                pane.action_move(1, 0)
                pane.action_move(0, -1)
            await until(pilot, lambda: shown(pane) == here(pane))
            assert pane.scatter.cursor[0] > 0 < pane.scatter.cursor[1]
            assert 1 <= len(process.decoded()) - before <= 2
            assert pane.plane is not None
            assert process.decoded()[-1] == encode_floats(array("f", pane.plane.latent(*pane.scatter.cursor)))
            await pilot.press("enter")
            nearest = pane.plane.nearest(*pane.scatter.cursor)
            assert nearest is not None and pane.scatter.cursor == (pane.plane.xs[nearest], pane.plane.ys[nearest])
            await pilot.press("home")
            await pilot.click(Scatter, offset=(5, 3))
            assert pane.scatter.cursor[0] < 0 < pane.scatter.cursor[1]
            await until(pilot, lambda: shown(pane) == here(pane))


@in_event_loop
async def test_moving_the_cursor_repaints_two_lines(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            before = next(iter(pane.scatter._tiles.values())).lines
            await pilot.press("down")
            await until(pilot, lambda: next(iter(pane.scatter._tiles.values())).lines != before)
            after = next(iter(pane.scatter._tiles.values())).lines
            assert sum(a is not b for a, b in zip(before, after, strict=True)) == 2


@in_event_loop
async def test_keys_beside_the_settings_are_those_that_change_them(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(160, 36)) as pilot:
            pane = await latent(app, pilot)
            known = {
                app.get_key_display(each) for bindings in pane._bindings.key_to_bindings.values() for each in bindings
            }
            for _ in range(6):
                shown = {key for item in pane.facts().items for key in item.key.split()}
                assert shown <= known, pane.view
                await pilot.press("v")


@in_event_loop
async def test_traversal_interpolation_samples_and_bars(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)

            board = pane.query_one("#latent-traverse", ImageBoard)
            await pilot.press("v", "v")
            await until(pilot, lambda: bool(board.pictures))
            columns = board.board(pane.room).columns
            first = struct.unpack(f"<{DIMENSIONS}f", process.decoded()[-1][:16])
            assert pane.choices.dimension == 2 and first == pytest.approx((0, 0, 0.5 - 3 * 0.5, 0))
            assert len(board.pictures) == columns * min(DIMENSIONS, board.board(pane.room).rows)
            await pilot.press("down", "down", "down", "down")
            await until(pilot, lambda: any("inactive" in part[0] for part in board.heads[-1]))
            assert pane.choices.dimension == 3

            board = pane.query_one("#latent-interpolate", ImageBoard)
            await pilot.press("tab")
            await until(pilot, lambda: bool(board.pictures))
            assert board.pictures[1].image.pixels == picture_of(latent_of(0))
            assert board.pictures[-2].image.pixels == picture_of(latent_of(1))
            await pilot.press("b", *["backspace"] * 3, *"57", "enter")
            await until(pilot, lambda: board.pictures[-2].image.pixels == picture_of(latent_of(57)))
            await pilot.press("down", "left")
            await until(pilot, lambda: board.pictures[-2].image.pixels == picture_of(latent_of(56)))
            assert pane.choices.ends == {"a": 1, "b": 56}

            board = pane.query_one("#latent-samples", ImageBoard)
            await pilot.press("v")
            await until(pilot, lambda: bool(board.pictures))
            fitted = board.pictures
            await pilot.press("S")
            await until(pilot, lambda: board.pictures != fitted)
            prior = board.pictures
            await pilot.press("f8")
            await until(pilot, lambda: board.pictures not in (fitted, prior))
            newest = process.asked[-1]
            assert isinstance(newest, protocol.Sample) and newest.source == "prior" and newest.seed

            await pilot.press("v", "o", "home", "left", "left", "left")
            bars = pane.query_one(KlBars)
            assert bars.display and bars.order == [0, 1, 2, 3] and bars.place == 0
            assert "3 of 4 active" in str(bars.border_subtitle) and "3 with KL > 0.1 nats" in str(bars.border_subtitle)
            await pilot.press("enter")
            assert pane.view is View.TRAVERSE and pane.choices.dimension == 0


@in_event_loop
async def test_marks_and_classes(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await latent(app, pilot)
            text = "".join(segment.text for line in pane.scatter._lines for segment in line)
            await pilot.press("shift+right", "a", "c", "c")
            assert pane.plane is not None and pane.choices.ends["a"] == pane.plane.nearest(*pane.scatter.cursor)
            assert pane.scatter.label == 1 and pane.query_one(CursorImage).names == CLASSES
            assert any("a" in segment.text for line in pane.scatter._tiles[0, 0].lines for segment in line)
            await pilot.press("*")
            assert "".join(segment.text for line in pane.scatter._lines for segment in line) != text


@in_event_loop
async def test_of_many_classes_the_legend_shows_those_around_the_chosen_one(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await latent(app, pilot)
            image = pane.query_one(CursorImage)
            image.names = tuple(f"kind {label}" for label in range(1000))
            for label in (None, 0, 500, 999):
                image.label = label
                words = [segment.text for tile in image.tiles(image.size) for line in tile.lines for segment in line]
                assert any(word.strip() == f"kind {label or 0}" for word in words)
                assert any(word.strip().endswith(" more") for word in words)
                assert max(tile.y for tile in image.tiles(image.size)) < image.size.height


class Unlabelled(LatentProcess):
    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        reply = super()._answer(request)
        if isinstance(reply, (protocol.LatentMap, protocol.Reconstructions)):
            return msgspec.structs.replace(reply, labels=b"")
        return reply


@in_event_loop
async def test_images_without_labels_have_a_plane_of_one_colour(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with Unlabelled(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await latent(app, pilot)
            assert not pane.query_one(CursorImage).names
            await pilot.press("c")
            await until(pilot, lambda: any("have no labels" in note.message for note in app._notifications))
            await pilot.press("tab", "tab", "tab")
            board = pane.query_one("#latent-interpolate", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            assert [text.strip() for text, _ in board.pictures[-1].caption] == ["b", "", "#1"]


@in_event_loop
async def test_a_living_run_is_followed_until_frozen(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.ui.latent.pane.PLANE_SECONDS", 0.2)
    monkeypatch.setattr("tui_vae.ui.latent.pane.IMAGE_SECONDS", 0.2)
    EventLog(run.events).write(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)

    def advance(process: FakeProcess) -> None:
        process.step += 101
        process.log(StepEvent(epoch=8, step=process.step, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1,
                              images_per_s=1))  # fmt: skip

    def step(plane: Plane | None) -> int:
        return plane.step if plane else 0

    with LatentProcess(run, "train") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            xs = pane.plane.xs if pane.plane else None
            advance(process)  # whose directions point the other way
            await until(pilot, lambda: step(pane.plane) == process.step)
            assert pane.plane is not None and pane.plane.xs == xs
            await pilot.press("f")
            frozen = process.step
            advance(process)
            await until(pilot, lambda: app.session is not None and app.session.history.step == process.step)
            pane._follow()
            await pilot.pause(0.3)
            assert step(pane.plane) == frozen


@in_event_loop
async def test_a_plane_older_than_the_image_says_so(run: RunDirectory) -> None:
    class AfterAnEpoch(LatentProcess):
        """Its plane is that of the last evaluation."""

        def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
            return latent_map(705) if isinstance(request, protocol.Map) else super()._answer(request)

    app = TuiVae(run.path.parent, run)
    with AfterAnEpoch(run, "train", step=800):
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            line = pane.query_one(ModelStatus)
            await until(pilot, lambda: "step 800" in str(line.render()))
            assert "measured at step 705" in str(line.render())
            pane._load_plane()
            await until(pilot, lambda: not pane._requesting_plane)
            assert "step 800" in str(line.render())


@in_event_loop
async def test_an_ended_run_shows_the_weights_it_ended_with(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    serving: list[LatentProcess] = []

    def start_serving(directory: RunDirectory) -> None:
        serving.append(LatentProcess(directory, "serve", step=2000))

    monkeypatch.setattr(launch, "start_serving", start_serving)
    EventLog(run.events).write(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    trainer = LatentProcess(run, "train")
    async with app.run_test(size=(120, 36)) as pilot:
        pane = await latent(app, pilot)
        trainer.log(
            StepEvent(epoch=9, step=2000, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1, images_per_s=1),
            StateEvent(state="finished"),
        )
        trainer.die()
        await until(pilot, lambda: pane.plane is not None and pane.plane.step == 2000 and pane.weights == (8, 2000))
        await until(pilot, lambda: shown(pane) == here(pane))
    serving[0].die()


@in_event_loop
async def test_a_run_without_a_checkpoint_says_so(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        pane = app.screen.query_one(LatentPane)
        message = pane.query_one("#latent-message", Static)
        await until(pilot, lambda: "no checkpoint yet" in str(message.content))
        process = LatentProcess(run, "serve")
        await pilot.press("enter")
        await until(pilot, lambda: shown(pane) is not None)
        process.die()


class Refusing(LatentProcess):
    """Refuses one question for an image, once it may go on."""

    refusals = 0

    def __init__(self, directory: RunDirectory) -> None:
        self.may_go_on = threading.Event()
        super().__init__(directory, "serve")

    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        if isinstance(request, protocol.Decode) and self.refusals:
            self.may_go_on.wait(30)
            self.refusals -= 1
            return protocol.Failure(message="no memory")
        return super()._answer(request)


@in_event_loop
async def test_a_key_that_came_before_a_refusal_is_asked_about(run: RunDirectory) -> None:
    with Refusing(run) as process:
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(120, 40)) as pilot:
            pane = await latent(app, pilot)
            asked = len(process.decoded())
            process.refusals = 1
            await pilot.press("right")
            await until(pilot, lambda: len(process.decoded()) > asked)
            await pilot.press("right")
            process.may_go_on.set()
            await until(pilot, lambda: shown(pane) == here(pane))
            assert process.refusals == 0 and pane.note == ""


@in_event_loop
async def test_dimensions_that_are_active_and_tell_nothing_are_dimmed(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_process, "KL", (2.5, 0.006, 0.1, 0.001))
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press(*"vvvvv")
            bars = pane.query_one(KlBars)
            await until(pilot, lambda: bool(bars._tiles))
            assert pane.plane is not None
            assert len({bars._bar_ink(pane.plane, each, 9) for each in (0, 1, 3)}) == 3
            assert "3 of 4 active" in str(bars.border_subtitle) and "1 with KL > 0.1 nats" in str(bars.border_subtitle)
            await pilot.press("right")
            await until(pilot, lambda: "active, but KL ≤ 0.1 nats" in screen(app))
            await pilot.resize_terminal(40, 16)
            await until(pilot, lambda: str(bars.border_subtitle) == "3/4 active · 1 > 0.1 nats")


@in_event_loop
async def test_a_small_screen_shows_the_ends_of_an_interpolation(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(40, 12)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press("v", "v", "v")
            board = pane.query_one("#latent-interpolate", ImageBoard)
            await until(pilot, lambda: len(board.pictures) == 2)
            await pilot.resize_terminal(80, 24)
            await pilot.press("y")
            await until(pilot, lambda: "interpolate   a #0   b #1   path on a sphere" in screen(app))
