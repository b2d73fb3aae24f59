"""Without colours everything that colour tells apart is told apart by its shape."""

import math
from collections.abc import Callable

import pytest

from tests.support.piloting import in_event_loop, opened, screen, seen
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts.curves import Curve
from tui_vae.ui.charts.dashes import PATTERNS, dashed
from tui_vae.ui.charts.draw import GUTTER, Sources, Span, View, draw_chart
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.glyphs import ASCII, UNICODE, Glyphs
from tui_vae.ui.runs.draw_overlay import Overlay, Series, draw_overlay
from tui_vae.ui.runs.draw_plane import Path as PlanePath
from tui_vae.ui.runs.draw_plane import draw_plane


def lines(rows: list[list[Span]], role: str) -> str:
    """What is drawn in one role, without the markers of epochs and the gutter."""
    shown = ("".join(span.text if span.role == role else " " * len(span.text) for span in row) for row in rows)
    return "\n".join(row[GUTTER:] for row in shown)


def curve(level: Callable[[float], float], every: int = 1) -> Curve:
    made = Curve(0.0, 1024)
    made.extend([float(step) for step in range(1, 101, every)], [level(float(step)) for step in range(1, 101, every)])
    return made


@pytest.mark.parametrize("every", [1, 11])
@pytest.mark.parametrize("level", [lambda step: 400 / step, lambda step: 5 + 2 * math.sin(step / 9)])
def test_the_test_curve_is_dashed_and_the_train_curve_is_not(level: Callable[[float], float], every: int) -> None:
    sources = Sources(None, curve(lambda step: level(step) - 20), curve(level, every))
    with_colours, without = (
        draw_chart(sources, [], View(90, 16, Axis(0.0, 100.0), colours=colours), UNICODE).rows
        for colours in (True, False)
    )
    assert lines(with_colours, "train") == lines(without, "train")
    whole, left = lines(with_colours, "test"), lines(without, "test")
    drawn = len(left.replace(" ", "").replace("\n", "")) / len(whole.replace(" ", "").replace("\n", ""))
    assert 0.3 < drawn < 0.9


def test_without_braille_the_two_curves_are_of_two_signs() -> None:
    sources = Sources(None, curve(lambda step: step), curve(lambda step: step + 20))
    rows = draw_chart(sources, [], View(60, 12, Axis(0.0, 100.0)), ASCII).rows
    train, test = ({*lines(rows, role)} - {" ", "\n"} for role in ("train", "test"))
    assert train and test and not train & test


@pytest.mark.parametrize("draw", ["overlay", "plane"])
def test_lines_of_runs_differ_where_their_colours_would(draw: str) -> None:
    def drawn(slot: int, colours: bool, glyphs: Glyphs = UNICODE) -> str:
        points = tuple((float(at), 20.0 + 10.0 * at) for at in range(1, 9))
        if draw == "overlay":
            found: Overlay = draw_overlay([Series("run", slot, points)], 90, 16, glyphs, colours=colours)
        else:
            found = draw_plane([PlanePath("run", slot, points, pixels=784)], 90, 16, glyphs, colours=colours)
        return "".join(
            c for c in lines(found.rows, f"series-{slot}") if not glyphs.braille or ord(c) >= 0x2800 or c < "!"
        )

    assert len({drawn(slot, colours=True) for slot in range(4)}) == 1
    assert len({drawn(slot, colours=False) for slot in range(4)}) == 4
    assert len({drawn(slot, colours=False, glyphs=ASCII) for slot in range(4)}) == 4


def test_dashes_run_along_a_line_however_steep_it_is() -> None:
    for path in (((0, 0), (60, 0)), ((0, 0), (0, 60)), ((0, 60), (60, 0)), ((0, 0), (30, 30), (60, 0))):
        whole = [(x, y) for x, y, _ in dashed([path], ())]
        assert len(whole) == len({*whole}) == 61
        for pattern in PATTERNS[1:]:
            left = [(x, y) for x, y, _ in dashed([path], pattern)]
            assert {*left} < {*whole}
            assert len(left) / 61 == pytest.approx(sum(pattern[::2]) / sum(pattern), abs=0.1)


@in_event_loop
async def test_the_legend_shows_the_lines_themselves(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        assert "⠤" not in (await seen(app, pilot, "○ train")).partition("reconstruction")[2].partition("\n")[0]
    monkeypatch.setenv("NO_COLOR", "1")
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await seen(app, pilot, "⠤⠤⠤ train")
        assert "⠤ ⠤ test" in screen(app) and "● test" not in screen(app)
