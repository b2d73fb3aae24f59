"""Two runs', or two epochs', reconstructions of the same test images side by side."""

import shutil
from pathlib import Path

from tests.support.fake_run import SIDE, blurred, error, images, make_run
from tests.support.piloting import in_event_loop, opened, seen, until
from tui_vae.runs.previews import Originals, write_originals, write_preview
from tui_vae.ui.app import TuiVae
from tui_vae.ui.film import read_film
from tui_vae.ui.runs.beside import NONE_YET, OTHERS, Beside, BesideCanvas
from tui_vae.ui.runs.pane import RunsPane


def mean_error(epoch: int) -> str:
    errors = [error(image, blurred(image, epoch * 235)) for image in images()[:10]]
    return f"{sum(errors) / len(errors):.4f}"[:6]


@in_event_loop
async def test_two_runs_and_two_epochs_show_the_same_images(tmp_path: Path) -> None:
    short, long = make_run(tmp_path, "short", epochs=2), make_run(tmp_path, "long", epochs=6)
    app = TuiVae(tmp_path, short)
    async with app.run_test(size=(120, 48)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        await seen(app, pilot, "long")
        pane = app.screen.query_one(RunsPane)
        pane.cursor = long.path
        await pilot.press("B")  # one run: its first and its newest epoch
        await seen(app, pilot, "below: long epoch 6")
        assert isinstance(app.screen, Beside)
        canvas = app.screen.query_one(BesideCanvas)
        assert [side.film.epoch for side in canvas.sides] == [1, 6]
        await pilot.press("escape")
        pane.marks.toggle(short.path)
        pane.marks.toggle(long.path)
        await pilot.press("B")
        shown = await seen(app, pilot, "below: long epoch 6")
        assert f"› middle: short epoch 2 mse {mean_error(2)}" in shown
        canvas = app.screen.query_one(BesideCanvas)
        assert canvas.sides[0].originals == canvas.sides[1].originals and len(canvas.sides[0].images) == 10
        await pilot.press("left")
        await seen(app, pilot, f"short epoch 1 mse {mean_error(1)}")
        await pilot.press("tab", "g")
        await seen(app, pilot, "› below: long epoch 1")


@in_event_loop
async def test_runs_of_other_images_have_nothing_side_by_side(tmp_path: Path) -> None:
    one, other = make_run(tmp_path, "one", epochs=2), make_run(tmp_path, "other", epochs=2)
    waiting = make_run(tmp_path, "waiting", epochs=1)
    shutil.rmtree(waiting.previews)
    chosen = tuple(bytes(255 - byte for byte in image) for image in images()[:10])
    write_originals(other.previews, Originals(chosen, tuple(range(10)), (), SIDE))
    app = TuiVae(tmp_path, one)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        await seen(app, pilot, "other")
        pane = app.screen.query_one(RunsPane)
        for run in (one, other):
            pane.marks.toggle(run.path)
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, Beside))
        await seen(app, pilot, f"one and other {OTHERS}")
        await pilot.press("escape", "M")
        pane.marks.toggle(waiting.path)
        await pilot.press("B")
        await seen(app, pilot, f"waiting {NONE_YET}")


def test_reconstructions_of_another_size_are_passed_over(tmp_path: Path) -> None:
    """As a stranger may have saved them: they are compared with the originals pixel by pixel."""
    run = make_run(tmp_path, epochs=3)
    write_preview(run.previews, 4, [bytes(SIDE * 2 * SIDE)] * 10, SIDE)
    assert [epoch for epoch, _ in read_film(run.previews, ()).frames] == [1, 2, 3]
