"""Latent: points as cells, the cursor and its latent, bars; and the pane against a process that answers it."""

import math
import re
import struct
import threading
from array import array
from pathlib import Path
from statistics import NormalDist

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.support.fake_run import CLASSES, FakeProcess, figures_after, make_run
from tests.support.latent_process import (
    DIMENSIONS,
    LatentProcess,
    latent_map,
    latent_of,
    pack,
    picture_of,
)
from tests.support.piloting import in_event_loop, seen, until
from tui_vae.runs import launch, protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EpochEvent, EventLog, StateEvent, StepEvent
from tui_vae.runs.float_arrays import encode_floats
from tui_vae.ui.app import TuiVae
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.kl_bars import KlBars
from tui_vae.ui.latent.kl_history import KlHistory
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.latent.plane import Plane, between
from tui_vae.ui.latent.plane_view import CursorImage, Scatter
from tui_vae.ui.model_status import ModelStatus


async def latent(app: TuiVae, pilot: Pilot[str]) -> LatentPane:
    """Open the pane and wait for its plane and the image at the cursor."""
    await pilot.press("3")
    pane = app.screen.query_one(LatentPane)
    await until(pilot, lambda: pane.query_one(CursorImage).image is not None)
    return pane


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
            await pilot.press("g")
            await until(pilot, lambda: board.pictures != fitted)
            prior = board.pictures
            await pilot.press("d")
            await until(pilot, lambda: board.pictures not in (fitted, prior))
            newest = process.asked[-1]
            assert isinstance(newest, protocol.Sample) and newest.source == "prior" and newest.seed

            await pilot.press("v", "o", "home", "left", "left", "left")
            bars = pane.query_one(KlBars)
            assert bars.display and bars.order == [0, 1, 2, 3] and bars.place == 0
            assert "3 of 4 active" in str(bars.border_subtitle) and "1 inactive" in str(bars.border_subtitle)
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
            await pilot.press("m")
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


def latents(process: LatentProcess) -> list[tuple[float, ...]]:
    """Those of the newest request to decode."""
    return list(struct.iter_unpack(f"<{DIMENSIONS}f", process.decoded()[-1]))


@in_event_loop
async def test_the_grid_goes_over_the_priors_quantiles_of_any_two_dimensions(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press("tab")
            board = pane.query_one("#latent-grid", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            place = board.board(pane.room)
            found = latents(process)
            assert len(found) == place.capacity and place.columns > 2 < place.rows
            middles = [NormalDist().inv_cdf((at + 0.5) / place.columns) for at in range(place.columns)]
            sign = -1 if process.step % 2 else 1  # the main directions are z 0, or its opposite, and z 1
            assert [z[0] for z in found[: place.columns]] == pytest.approx([sign * value for value in middles])
            assert found[0][1] > found[-1][1] and found[0][2:] == pytest.approx((0.5, 0.0))
            await pilot.press("right", "right", "up")  # by KL: z 2, z 0, and then z 2 up
            await until(pilot, lambda: latents(process)[0][0] == pytest.approx(middles[0]))
            assert (pane.choices.across, pane.choices.up) == (0, 2)
            assert latents(process)[-1][0] == pytest.approx(middles[-1])
            assert latents(process)[0][2] == pytest.approx(NormalDist().inv_cdf(1 - 0.5 / place.rows))
            assert "z 0" in str(pane.query_one(ModelStatus).render())


@in_event_loop
async def test_an_interpolation_goes_straight_or_along_a_sphere(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            pane.look_at(3, "a")
            pane.look_at(57, "b")
            board = pane.query_one("#latent-interpolate", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            straight = latents(process)
            await pilot.press("y")
            await until(pilot, lambda: latents(process) != straight)
            curved = latents(process)
            assert [curved[0], curved[-1]] == [pytest.approx(straight[0]), pytest.approx(straight[-1])]
            ends = [math.hypot(*z) for z in (curved[0], curved[-1])]
            assert [math.hypot(*z) for z in curved] == pytest.approx(
                [length for [length] in between(ends[:1], ends[1:], len(curved))], abs=1e-5
            )
            assert min(math.hypot(*z) for z in straight) < 0.9 * min(ends)


@in_event_loop
async def test_from_a_sample_to_the_training_images_nearest_to_it(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(80, 24)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press(*["tab"] * 4)
            board = pane.query_one("#latent-samples", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            await pilot.press("g", "c", "c")
            await until(pilot, lambda: isinstance(process.asked[-1], protocol.Sample) and process.asked[-1].label == 1)
            newest = process.asked[-1]
            assert isinstance(newest, protocol.Sample) and newest.source == "fitted"
            await seen(app, pilot, "the Gaussian of Trouser")
            await pilot.press("right", "right", "enter")
            assert pane.view is View.NEAREST
            near = pane.query_one("#latent-nearest", ImageBoard)
            await until(pilot, lambda: len(near.pictures) > 1)
            asked = process.asked[-1]
            assert isinstance(asked, protocol.Nearest) and asked.z == pack(*latent_of(2))
            assert near.pictures[0].image == board.pictures[2].image
            text = await seen(app, pilot, "nearest 0.0040 · test reconstructions 0.0050 … 0.0300 · memorized?")
            assert "0.0050 Trouser" in text
            await pilot.press("escape")
            assert not near.display and board.display and pane.choices.sample == 2


@in_event_loop
async def test_the_kl_is_shown_in_its_parts_beside_the_prior_and_by_epoch(run: RunDirectory) -> None:
    kl = tuple((epoch / 10, 1.0, 2.0, 0.0) for epoch in range(1, 4))
    log = EventLog(run.events)
    for epoch, values in enumerate(kl, 1):
        figures = msgspec.structs.replace(figures_after(epoch), kl_per_dim=values)
        log.write(EpochEvent(epoch=epoch, step=epoch * 235, seconds=1.0, images_per_s=1.0, train=figures, test=figures))
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve"):
        async with app.run_test(size=(80, 24)) as pilot:
            await latent(app, pilot)
            await pilot.press(*["tab"] * 5)
            text = await seen(app, pilot, "KL 7.50 = information 4.25 + correlation 2.12 + dimension-wise 1.12 nats")
            assert "information of image and code ± 0.04, at most ln 200 = 5.30" in text
            await pilot.press("y")
            await seen(app, pilot, "z 0  KL 1.12")
            await pilot.press("y")
            text = await seen(app, pilot, "z 2   KL 2.000 nats in epoch 3   most 2.000 in epoch 1")
            history = app.screen.query_one(KlHistory)
            assert [each.kl_per_dim[0] for each in history.details] == pytest.approx([0.1, 0.2, 0.3])
            rows = re.findall(r"z (\d) +([.:=+*#-]+)", text)
            assert [number for number, _ in rows] == ["2", "0", "1"]  # and z 3, which is blank: its KL is 0
            heat = dict(rows)
            assert set(heat["2"]) == {"#"} and set(heat["1"]) == {"+"}
            assert len(set(heat["0"])) == 3 and heat["0"] == "".join(sorted(heat["0"], key=" .:-=+*#".index))
