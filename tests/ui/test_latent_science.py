"""Latent's views for the science: the grid, paths between images, samples and their neighbours, the parts of the KL."""

import math
import re
import struct
from pathlib import Path
from statistics import NormalDist

import msgspec
import pytest

from tests.support.fake_run import figures_after, make_run
from tests.support.latent_pane import latent
from tests.support.latent_process import DIMENSIONS, LatentProcess, latent_of, pack
from tests.support.piloting import in_event_loop, seen, until
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EpochEvent, EventLog, StateEvent, StepEvent
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.pane import BrowsePane
from tui_vae.ui.latent.image_board import ImageBoard
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.kl_history import KlHistory
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.latent.plane import between
from tui_vae.ui.messages import LookInLatent
from tui_vae.ui.model_status import ModelStatus


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


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
            assert "over z 0 × z 2" in str(pane.query_one(ModelStatus).render())


@in_event_loop
async def test_an_interpolation_goes_straight_or_along_a_sphere(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            pane.look_at(LookInLatent(57, to_it=True, first=3))
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
            await pilot.press("S", "c", "c")
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
            text = await seen(app, pilot, "nearest: mse 0.0040 · test reconstructions 0.0050 … 0.0300 · memorized?")
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


@in_event_loop
async def test_from_an_image_in_browse_to_its_traversal_and_to_an_interpolation(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "serve") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            await pilot.press("2")
            browse = app.screen.query_one(BrowsePane)
            await until(pilot, lambda: browse.weights is not None)
            await pilot.press("right", "right", "right", "L")
            text = await seen(app, pilot, "the other dimensions of image #3")
            assert "traverse" in text
            pane = app.screen.query_one(LatentPane)
            board = pane.query_one("#latent-traverse", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            others = [z[:2] + z[3:] for z in latents(process)[: board.board(pane.room).columns]]  # along z 2
            assert others == [pytest.approx(latent_of(3)[:2] + latent_of(3)[3:])] * len(others)
            assert pane.plane is not None and pane.scatter.cursor == (pane.plane.xs[3], pane.plane.ys[3])
            await pilot.press("home")
            await seen(app, pilot, "the other dimensions at the mean")
            await pilot.press("2", "a", "right", "right", "b")
            board = pane.query_one("#latent-interpolate", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            assert pane.choices.ends == {"a": 3, "b": 5}
            assert latents(process)[0] == pytest.approx(latent_of(3))
            assert latents(process)[-1] == pytest.approx(latent_of(5))


@in_event_loop
async def test_the_neighbours_of_a_sample_are_not_searched_for_again_at_every_step(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_vae.ui.latent.pane.IMAGE_SECONDS", 0.05)
    EventLog(run.events).write(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    with LatentProcess(run, "train") as process:
        async with app.run_test(size=(120, 36)) as pilot:
            pane = await latent(app, pilot)
            await pilot.press(*["tab"] * 4)
            board = pane.query_one("#latent-samples", ImageBoard)
            await until(pilot, lambda: bool(board.pictures))
            await pilot.press("enter")
            near = pane.query_one("#latent-nearest", ImageBoard)
            await until(pilot, lambda: len(near.pictures) > 1)
            for _ in range(3):
                process.step += 100
                process.log(StepEvent(epoch=8, step=process.step, images=0, loss=0, recon=0, kl=0, lr=1e-3, beta=1,
                                      images_per_s=1))  # fmt: skip
                await until(pilot, lambda: app.session is not None and app.session.history.step == process.step)
                pane._follow()
                await pilot.pause(0.1)
            assert sum(isinstance(each, protocol.Nearest) for each in process.asked) == 1
            asked = len(process.asked)
            await pilot.press("escape")
            await until(pilot, lambda: len(process.asked) > asked)
            assert isinstance(process.asked[-1], protocol.Sample)
