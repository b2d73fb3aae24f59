"""What stands beside the curves: preview images, marked ones, the table; and what is remembered of the settings."""

import pytest
from msgspec import structs
from textual.geometry import Size
from textual.pilot import Pilot

from tests.support.fake_run import SIDE, FakeProcess, blurred, figures_after, images
from tests.support.piloting import in_event_loop, screen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EventLog, StateEvent, StepEvent
from tui_vae.runs.history import read_history
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts.widget import ChartState, ChartWidget, Value
from tui_vae.ui.images.pairs import Grid, grid
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL
from tui_vae.ui.settings import read_preferences
from tui_vae.ui.train import pane as train_pane
from tui_vae.ui.train import preview_strip
from tui_vae.ui.train.arrangement import (
    COLUMNS_FROM,
    LEAST_CHART,
    LEAST_SIDE,
    LEAST_TABLE,
    PREVIEWS,
    side_size,
)
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.pane import TrainPane
from tui_vae.ui.train.preview_strip import PreviewStrip


def shows(app: TuiVae) -> bool:
    """Whether the charts have been drawn."""
    return any("\u2800" < character <= "\u28ff" for character in screen(app))


async def strip_of(app: TuiVae, pilot: Pilot[str]) -> PreviewStrip:
    """The strip, once it shows images."""
    await until(pilot, lambda: bool(app.screen.query(PreviewStrip)))
    strip = app.screen.query_one(PreviewStrip)
    await until(pilot, lambda: bool(strip._pairs))
    return strip


def pixels(pair: tuple[Picture, Picture]) -> tuple[bytes, bytes]:
    return pair[0].pixels, pair[1].pixels


@in_event_loop
async def test_the_strip_is_of_the_newest_weights_and_ends_on_the_last(
    run: RunDirectory, live: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview_strip, "REQUEST_SECONDS", 0.5)
    live.step = 800  # newer weights than those of the saved images
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(160, 48)) as pilot:
        strip = await strip_of(app, pilot)
        assert pixels(strip._pairs[1]) == (images()[1], blurred(images()[1], 800)) and len(strip._pairs) == 10
        # Its last step and its end come together, sooner after the images than these are asked for again.
        live.step = 940
        live.log(StateEvent(state="stopped"))
        live.mode = "serve"
        live._lock.change_mode("serve")
        await until(pilot, lambda: strip._pairs[1][1].pixels == blurred(images()[1], 940))
        assert strip.border_title == preview_strip.TITLE


@in_event_loop
async def test_a_strip_never_goes_back_to_older_saved_images(run: RunDirectory) -> None:
    process = FakeProcess(run, "train", step=800)
    process.log(StateEvent(state="training"))
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        strip = await strip_of(app, pilot)
        process.die()
        await until(pilot, lambda: app.session is not None and app.session.state == "crashed")
        strip._requested_at = 0.0
        strip.refresh_history()
        await pilot.pause(0.3)
        assert strip._pairs[1][1].pixels == blurred(images()[1], 800)  # saved are those of step 705


@in_event_loop
async def test_marked_images_take_the_place_of_the_fixed_ones(run: RunDirectory, live: FakeProcess) -> None:
    app = TuiVae(run.path.parent, run)
    app.preferences.mark(run.path, [33, 5])
    async with app.run_test(size=(160, 48)) as pilot:
        strip = await strip_of(app, pilot)
        await until(pilot, lambda: "marked images: original above, reconstruction below" in screen(app))
        assert [original.pixels for original, _ in strip._pairs] == [images()[33], images()[5]]
        app.preferences.mark(run.path, [])
        strip._requested_at = 0.0
        strip.refresh_history()
        await until(pilot, lambda: len(strip._pairs) == 10 and strip.border_title == preview_strip.TITLE)


@in_event_loop
async def test_without_a_process_to_ask_marks_change_nothing(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    app.preferences.mark(run.path, [33, 5])
    async with app.run_test(size=(160, 48)) as pilot:
        strip = await strip_of(app, pilot)
        assert strip.border_title == preview_strip.TITLE
        assert pixels(strip._pairs[9]) == (images()[9], blurred(images()[9], 705))


@in_event_loop
async def test_images_and_table_are_a_key_away_in_the_smallest_terminal(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ChartWidget)) and "● " in screen(app))
        assert "P images" in screen(app)
        await pilot.press("P")
        await until(pilot, lambda: "1–5 of 10, ↑ ↓ others" in screen(app))
        strip = app.screen.query_one(PreviewStrip)
        await pilot.press("down")
        await until(pilot, lambda: "6–10 of 10" in screen(app))
        assert next(iter(strip.tiles(strip.size))).lines == strip.renderer.image(Picture.of(images()[5]), 1)
        await pilot.press("down")
        assert strip._first == 5
        await pilot.press("P")
        await until(pilot, lambda: "train loss" in screen(app) and "reconstruction below" not in screen(app))
        assert app.screen.query_one(TrainPane).zoomed is app.screen.query_one(EpochTable)
        await pilot.press("P")
        await until(pilot, lambda: "accuracy" in screen(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: "The preview images alone" in screen(app))


@in_event_loop
async def test_the_table_tells_the_number_of_a_ten_thousandth_epoch_whole(run: RunDirectory) -> None:
    last, log = read_history(run.events).epochs[-1], EventLog(run.events)
    for epoch in range(9_990, 10_002):
        log.write(structs.replace(last, epoch=epoch, step=epoch * 235, test=figures_after(epoch / 1000)))
    log.close()
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(EpochTable)) and "10001*" in screen(app))
        rows = [row for row in screen(app).splitlines() if " 9999 " in row or " 10000 " in row or "10001*" in row]
        assert len(rows) == 3 and len({row.index(f"{figures_after(10).mse:.4f}") for row in rows}) == 1


@in_event_loop
async def test_smoothing_scale_and_axis_are_remembered(run: RunDirectory) -> None:
    async with (app := TuiVae(run.path.parent, run)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ChartWidget)) and "over " in screen(app))
        await pilot.press("~", "l", "h")
        await until(pilot, lambda: "log over " in screen(app) and read_preferences().x_axis == "steps")
    async with (app := TuiVae(run.path.parent, run)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(ChartWidget)) and "log over " in screen(app))
        pane = app.screen.query_one(TrainPane)
        assert (pane.smoothing, pane.logarithmic, pane.unit) == (1.0, True, "steps")


def test_the_wall_of_images_shows_the_most_pairs_in_the_largest_size() -> None:
    """An original and its reconstruction are one line apart wherever a pair fits so."""
    assert grid(Size(59, 31), 8) == Grid(1, 4, 2, 1, 1)
    assert grid(Size(240, 30), 8) == Grid(2, 8, 1, 1, 2)
    assert grid(Size(158, 42), 8) == Grid(1, 10, 2, 1, 2)
    assert grid(Size(298, 87), 10) == Grid(3, 6, 2, 1, 1)  # large ones, as all of them fit
    assert grid(Size(78, 18), 8).scale == 1
    for width in range(10, 250, 7):
        for height in range(4, 70, 3):
            layout = grid(Size(width, height), 8)
            assert layout.capacity >= 1
            side = SIDE // 2 * layout.scale
            assert layout.columns == 1 or layout.columns * (side + 1) - 1 <= width
            assert layout.rows == 1 or layout.rows * (layout.pair_height + layout.gap) - layout.gap <= height
            assert layout.apart == (height >= 2 * 7 + 1 and width >= 14)


def test_values_keep_their_places_and_stand_close_to_their_signs() -> None:
    texts = [Value("●", "test", number, "test").text(word=True) for number in (" −1267", "−126.7", " 0.123")]
    assert texts == [" ● test −1267", "● test −126.7", " ● test 0.123"]
    assert Value("●", "test", " 27.1", "test").text(word=False) == " ● 27.1"
    assert Value("", "raw", "27.1", "label").text(word=False) == "raw 27.1"


def test_images_beside_the_charts_use_the_room_and_leave_the_charts_theirs() -> None:
    for width in range(COLUMNS_FROM.width, 340, 3):
        for height in range(COLUMNS_FROM.height, 100, 3):
            side = side_size(Size(width, height))
            layout = grid(side - Size(2, 2), PREVIEWS)
            assert height - side.height >= LEAST_TABLE - 2 and layout.capacity >= min(PREVIEWS, 8)
            assert width - side.width >= 2 * LEAST_CHART or side.width == LEAST_SIDE + 2
    assert grid(side_size(Size(300, 87)) - Size(2, 2), PREVIEWS).scale == FULL


@in_event_loop
async def test_a_large_screen_has_more_charts_until_it_is_a_small_one(run: RunDirectory) -> None:
    async with (app := TuiVae(run.path.parent, run)).run_test(size=(300, 90)) as pilot:
        await until(pilot, lambda: len(app.screen.query(ChartWidget)) == 8 and "learning rate" in screen(app))
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: len(app.screen.query(ChartWidget)) == 4 and "accuracy" in screen(app))
        await pilot.resize_terminal(300, 90)
        await until(pilot, lambda: len(app.screen.query(ChartWidget)) == 8 and "learning rate" in screen(app))


@in_event_loop
async def test_new_figures_alone_wait_and_a_new_state_is_drawn_at_once(
    run: RunDirectory, live: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What watching costs is mostly the drawing of charts."""
    monkeypatch.setattr(train_pane, "FIGURES_SECONDS", 3600.0)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.session is not None and app.session.state == "training" and shows(app))
        await pilot.pause(0.6)
        drawn: list[ChartState] = []
        monkeypatch.setattr(ChartWidget, "show", lambda self, state: drawn.append(state))
        for at in (750, 751, 752):
            live.log(StepEvent(epoch=4, step=at, images=0, loss=1, recon=1, kl=1, lr=1, beta=1, images_per_s=1))
            await pilot.pause(0.6)
        await until(pilot, lambda: app.session is not None and app.session.history.step == 752)
        assert not drawn
        await pilot.press("l")
        await until(pilot, lambda: len(drawn) == 4)
        live.log(StateEvent(state="paused"))
        await until(pilot, lambda: len(drawn) == 8)


@in_event_loop
async def test_the_cursor_points_into_a_table_that_epochs_are_still_added_to(run: RunDirectory) -> None:
    """The history's list grows while it is read; the table is sorted when it is shown."""
    async with (app := TuiVae(run.path.parent, run)).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(EpochTable)) and "epochs, on" in screen(app))
        table = app.screen.query_one(EpochTable)
        epochs = list(read_history(run.events).epochs)
        growing = epochs[:1]
        table.show(growing, 1)
        growing += epochs[1:]
        table.point(float(epochs[-1].step))
        await pilot.pause()
        table.show(growing, 1)
        table.point(float(epochs[-1].step))
        table.action_move(-1)


@pytest.mark.parametrize("size", [(120, 40), (160, 48)])
@in_event_loop
async def test_the_images_alone_have_the_whole_pane(run: RunDirectory, size: tuple[int, int]) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=size) as pilot:
        strip = await strip_of(app, pilot)
        pane, before = app.screen.query_one(TrainPane), strip.outer_size
        await pilot.press("P")
        await until(pilot, lambda: strip.outer_size.width == pane.size.width)
        assert strip.outer_size.height >= pane.size.height - 1  # the headline is above it
        await pilot.press("P", "P")
        await until(pilot, lambda: strip.outer_size == before)


@in_event_loop
async def test_other_charts_are_offered_where_there_are_some(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(200, 80)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(TrainPane)))
        pane = app.screen.query_one(TrainPane)
        await until(pilot, lambda: len(pane.views) == 1)
        assert not pane.makes_sense_now("other_charts")
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: pane.makes_sense_now("other_charts"))


@in_event_loop
async def test_a_title_without_room_loses_its_unit_and_no_letters(run: RunDirectory) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: shows(app))
        await pilot.press("v")
        await until(pilot, lambda: "−ELBO" in screen(app))
        assert "bits a pixe" not in screen(app)
