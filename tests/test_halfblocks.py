"""Half blocks: every pixel of an image is found again in the cells' colours."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tui_vae.ui import halfblocks
from tui_vae.ui.halfblocks import EMPTY, FULL, LOWER, UPPER, Colour, Drawing, Picture

LEVELS = st.integers(0, 255)


@st.composite
def pictures(draw: st.DrawFn, levels: st.SearchStrategy[int] = LEVELS) -> Picture:
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    return Picture(bytes(draw(st.lists(levels, min_size=width * height, max_size=width * height))), width)


def pixels_of(drawing: Drawing) -> list[list[Colour | None]]:
    """The pixel rows that a terminal would show, two for each row of cells."""
    shown = []
    for row in drawing:
        upper: list[Colour | None] = []
        lower: list[Colour | None] = []
        for text, ink, paper in row:
            for sign in text:
                upper.append(ink if sign in (UPPER, FULL) else paper)
                lower.append(ink if sign in (LOWER, FULL) else paper)
                assert sign in (UPPER, LOWER, FULL, EMPTY)
        shown += [upper, lower]
    return shown


@given(pictures())
def test_every_pixel_is_shown(picture: Picture) -> None:
    shown = pixels_of(halfblocks.half_blocks(picture))
    for y in range(picture.height):
        assert shown[y] == [(level, level, level) for level in picture.row(y)]


@given(pictures(levels=st.sampled_from([0, 255])))
def test_two_colours_make_one_run_a_row(picture: Picture) -> None:
    assert all(len(row) == 1 for row in halfblocks.half_blocks(picture))


@given(pictures(levels=st.sampled_from([0, 9, 90, 255])))
def test_neighbouring_runs_could_not_be_one(picture: Picture) -> None:
    for row in halfblocks.half_blocks(picture):
        assert "".join(run.text for run in row) and sum(len(run.text) for run in row) == picture.width
        for left, right in pairwise(row):
            assert len({left.foreground, left.background, right.foreground, right.background}) > 2


def test_greys_of_256_colours_are_the_nearest_of_the_26() -> None:
    """Rich's own rounding to 256 colours must land on the grey that was chosen."""
    from rich.color import Color, ColorSystem

    for level, emitted in enumerate(halfblocks.GREYS_256.colours):
        number = Color.from_rgb(*emitted).downgrade(ColorSystem.EIGHT_BIT).number
        assert number is not None
        displayed = {16: 0, 231: 255}.get(number, 8 + 10 * (number - 232))
        assert displayed in halfblocks.TERMINAL_GREYS
        assert abs(displayed - level) == min(abs(grey - level) for grey in halfblocks.TERMINAL_GREYS)


@given(pictures(), st.integers(1, 4))
def test_enlarging_repeats_pixels(picture: Picture, factor: int) -> None:
    large = halfblocks.enlarge(picture, picture.width * factor)
    assert (large.width, large.height) == (picture.width * factor, picture.height * factor)
    for y in range(large.height):
        assert large.row(y) == bytes(level for level in picture.row(y // factor) for _ in range(factor))


@given(st.binary(min_size=784, max_size=784))
def test_small_blocks_keep_brightness(pixels: bytes) -> None:
    """Half the size both ways; a cell is never brighter or darker than what it covers."""
    picture = Picture(pixels)
    drawing = halfblocks.small_blocks(picture)
    assert len(drawing) == 7 and all(sum(len(run.text) for run in row) == 14 for row in drawing)
    for y, row in enumerate(drawing):
        covered = b"".join(picture.row(4 * y + step) for step in range(4))
        for run in row:
            for colour in (run.foreground, run.background):
                assert colour is not None and min(covered) <= colour[0] <= max(covered)


@given(pictures())
def test_characters_need_no_colours(picture: Picture) -> None:
    for row in halfblocks.ascii_art(picture):
        assert [(run.foreground, run.background) for run in row] == [(None, None)]
        assert row[0].text.isascii() and len(row[0].text) == picture.width


@given(st.integers(0, 255), st.integers(0, 255))
def test_difference_is_signed(original: int, reconstruction: int) -> None:
    level = halfblocks.difference(bytes([original]), bytes([reconstruction]))[0]
    assert (level > 128) == (reconstruction > original) and (level < 128) == (reconstruction < original)
