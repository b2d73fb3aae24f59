"""Where there is little room, words give way and figures stay whole."""

import re

import pytest

from tests.support.latent_process import LatentProcess
from tests.support.piloting import in_event_loop, opened, screen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.classes import ClassTable
from tui_vae.ui.charts.draw import GUTTER, gutter_labels
from tui_vae.ui.charts.scales import Scale, Tick
from tui_vae.ui.fitting import beside_figure, first_that_fits, parts_that_fit
from tui_vae.ui.glyphs import UNICODE
from tui_vae.ui.latent.answers import _caption
from tui_vae.ui.latent.plane_view import places


def test_words_give_way_to_figures() -> None:
    assert beside_figure("Ankle boot", " #9742", 16) == "Ankle boot"
    assert beside_figure("Ankle boot", " #9742", 14) + " #9742" == "Ankle…ot #9742"
    assert beside_figure("Ankle boot", " #9742", 8) == ""
    assert first_that_fits(("9,742 of 10,000", "9,742"), 8) == "9,742" and first_that_fits(("12,345",), 5) == ""
    assert parts_that_fit(("epoch 7", "step 1,645"), 17) == "epoch 7"


@pytest.mark.parametrize("width", range(9, 40))
def test_a_caption_has_its_whole_index(width: int) -> None:
    text = "".join(part for part, _ in _caption("a", "T-shirt/top", "  #69742", width))
    assert text.endswith("#69742") and len(text) <= max(width, len("a   #69742"))


def test_a_place_and_a_tick_keep_all_their_digits() -> None:
    for width in (10, 12, 14, 18, 22):
        text = first_that_fits(places((-12.345, 0.678)), width)
        assert re.fullmatch(r"(z at )?\(?−12\.\d+,? \+0\.\d+\)?", text), text
    scale = Scale(0, 1e-5, (Tick(0.0000125, "0.0000125"), Tick(0.0, "0")))
    assert [label.strip() for label in gutter_labels(scale, 4, 4, UNICODE) if label.strip()] == ["1.3e−5", "0"]
    assert all(len(label) == GUTTER for label in gutter_labels(scale, 4, 4, UNICODE))


@pytest.mark.parametrize("width", [24, 36, 45, 60, 80, 120])
def test_the_table_of_classes_has_whole_columns(width: int) -> None:
    heads, bars = ClassTable._figures(width)
    assert heads[0] == "mean" and 2 + 9 * len(heads) <= width and (not bars or heads[-1] == "images")


@pytest.mark.parametrize("size", [(40, 16), (60, 20), (80, 24), (120, 40)])
def test_no_view_cuts_an_index_or_a_figure(run: RunDirectory, size: tuple[int, int]) -> None:
    """Views of images whose indices have three digits: wherever `#` stands, all of them do."""

    @in_event_loop
    async def walk() -> None:
        app = TuiVae(run.path.parent, run)
        with LatentProcess(run, "serve", step=705):
            async with app.run_test(size=size) as pilot:
                await opened(app, pilot)
                await pilot.press("3")
                await until(pilot, lambda: "+0.00" in screen(app))
                await pilot.press("v", "v", "v")  # interpolate
                await pilot.press("a", *["backspace"] * 3, *"197", "enter")
                await until(pilot, lambda: "#197" in screen(app))
                await pilot.press("2")
                await pilot.pause(0.3)
                await pilot.press("colon", *["backspace"] * 3, *"197", "enter")
                await until(pilot, lambda: "#197" in screen(app))
                await pilot.press("enter")
                await until(pilot, lambda: "#197" in screen(app))
                assert not re.search(r"#19?(?!\d)", screen(app)), screen(app)

    walk()
