"""Browse without a screen: where images stand on a page, which ones are listed, and which one is selected."""

from pathlib import Path

import pytest
from textual.geometry import Size

from tests.support.browsing import browse, opening
from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, seen
from tui_vae.ui.browse.one_image import OneImage, large_layout
from tui_vae.ui.browse.pair_grid import grid_for
from tui_vae.ui.browse.selection import Order, Pager, Selection
from tui_vae.ui.images.renderer import cells
from tui_vae.ui.test_set import MARKED, TestSet


@pytest.mark.parametrize(
    ("width", "height"), [(80, 20), (118, 27), (118, 28), (158, 43), (198, 55), (60, 10), (30, 8), (20, 5)]
)
def test_layouts_stay_inside(width: int, height: int) -> None:
    size = Size(width, height)
    for grid in (grid_for(size), grid_for(size, "full"), grid_for(size, "half")):
        if width >= 29 and height >= 8:
            x, y = grid.place(grid.capacity - 1)
            assert x + grid.pair_width <= width and y + grid.pair_height <= height
            assert grid.at(x, y) == grid.capacity - 1 and grid.at(width + 5, 0) is None
    layout = large_layout(size)
    if width >= 60 and height >= 10:
        assert 2 * cells(layout.scale).width + 1 <= width and cells(layout.scale).height <= height
        assert layout.has_difference(width)


@in_event_loop
async def test_one_image_on_a_narrow_screen_has_no_map_cut_in_two_but_its_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, epochs=3)
    app = opening(run)
    with FakeProcess(run, "serve"):
        async with app.run_test(size=(40, 12)) as pilot:
            await browse(app, pilot)
            await pilot.press("enter")
            shown = await seen(app, pilot, "mse 0.")
            view = app.screen.query_one(OneImage)
            assert all(tile.x + tile.width <= view.size.width for tile in view.tiles(view.size))
            assert "differ" not in shown and "#0" in shown


def test_a_page_shows_the_most_pairs_and_a_short_list_in_the_largest_size() -> None:
    size = Size(198, 55)
    most = max(grid_for(size, wish).capacity for wish in ("half", "full"))
    assert grid_for(size).capacity == most
    few = grid_for(size, count=3)
    assert few.capacity >= 3 and few.scale > grid_for(size).scale


def test_pager_keeps_its_place_when_the_page_changes_size() -> None:
    pager = Pager(range(100), 0, 10)
    assert pager.turn(3) and pager.shown == list(range(30, 40))
    assert pager.step(5) and pager.current == 35
    pager.capacity = 8
    assert pager.current in pager.shown
    assert pager.jump(1000) and pager.current == 99 and not pager.turn(1)
    assert Pager().shown == [] and Pager().current is None and not Pager().step(1)


def test_a_test_set_orders_the_worst_first() -> None:
    test_set = TestSet(("a", "b"), bytes([0, 1, 0, 1]))
    errors = [0.1, 0.2, 0.3, 0.4]
    assert test_set.chosen(None, errors) == [3, 2, 1, 0]
    assert test_set.chosen(0, errors) == [2, 0]
    assert test_set.chosen(1, None) == [1, 3]


def test_a_selection_of_marked_images_ends_with_the_last_mark() -> None:
    selection = Selection(Order.INDEX, [3, 1])
    selection.test_set = TestSet(("a", "b"), bytes([0, 1, 0, 1]))
    selection.turn_class(-1)
    selection.make_list()
    assert selection.label == MARKED and selection.pager.order == [1, 3]
    selection.toggle_mark(3)
    assert selection.pager.order == [1, 3]  # nothing moves under the user's hands
    selection.toggle_mark(1)
    assert selection.label is None and selection.pager.order == [0, 1, 2, 3]
    selection.turn_class(1)
    selection.make_list()
    assert selection.label == 0 and selection.pager.order == [0, 2]
    selection.go_to(2)
    assert selection.label == 0 and selection.pager.current == 2
    selection.go_to(3)
    assert selection.label is None and selection.pager.current == 3
