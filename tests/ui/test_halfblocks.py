"""Half blocks: every pixel of an image is found again in the cells' colours."""

import math
from collections.abc import Sequence
from itertools import pairwise, product
from random import Random

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.color import Color, ColorSystem

from tests.support.fake_run import blurred, images
from tui_vae.ui.images import halfblocks
from tui_vae.ui.images.halfblocks import EMPTY, FULL, LOWER, UPPER, Colour, Drawing
from tui_vae.ui.images.picture import SCALES, Picture, difference, enlarge, fitted_scale, halve, levels_of, squared
from tui_vae.ui.images.shades import shade_256, true_shade

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


@given(pictures(), st.integers(0, 9))
def test_slack_is_kept_to(picture: Picture, slack: int) -> None:
    """Each pixel is shown as one at most so much darker or brighter."""
    palette = halfblocks.GREYS_256
    drawn = halfblocks.half_blocks(picture, palette, slack)
    for y, row in enumerate(pixels_of(drawn)[: picture.height]):
        for level, colour in zip(picture.row(y), row, strict=True):
            assert colour in palette[max(0, level - slack) : level + slack + 1]


def test_slack_spares_changes() -> None:
    pictures = [Picture(blurred(image, 2000)) for image in images()[:20]]
    exact, near = (
        sum(changes(row) for each in pictures for row in halfblocks.half_blocks(each, halfblocks.GREYS_256, slack))
        for slack in (0, 3)
    )
    assert near < 0.9 * exact


def changes(row: halfblocks.Row) -> int:
    """Colours that have to be set in a row of cells."""
    return sum((a.foreground != b.foreground) + (a.background != b.background) for a, b in pairwise(row))


@given(pictures())
def test_a_colour_that_two_neighbours_need_keeps_its_place(picture: Picture) -> None:
    for row in halfblocks.half_blocks(picture):
        for left, right in pairwise(row):
            if right.text.strip() and left.text.strip():
                assert left.foreground != right.background or left.foreground == left.background
                assert left.background != right.foreground or right.foreground == right.background


def test_greys_of_256_colours_are_the_nearest_of_the_26() -> None:
    """Rich's own rounding to 256 colours must land on the grey that was chosen."""
    from rich.color import Color, ColorSystem

    greys = (0, *range(8, 239, 10), 255)
    for level, emitted in enumerate(halfblocks.GREYS_256):
        number = Color.from_rgb(*emitted).downgrade(ColorSystem.EIGHT_BIT).number
        assert number is not None
        displayed = {16: 0, 231: 255}.get(number, 8 + 10 * (number - 232))
        assert displayed in greys
        assert abs(displayed - level) == min(abs(grey - level) for grey in greys)


@given(pictures(), st.integers(1, 4))
def test_enlarging_repeats_pixels(picture: Picture, factor: int) -> None:
    large = enlarge(picture, picture.width * factor)
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


@given(pictures(), pictures(), pictures())
def test_every_colour_is_shown(red: Picture, green: Picture, blue: Picture) -> None:
    width, height = (min(getattr(each, side) for each in (red, green, blue)) for side in ("width", "height"))
    colours = [[tuple(each.row(y)[x] for each in (red, green, blue)) for x in range(width)] for y in range(height)]
    picture = Picture(bytes(level for row in colours for colour in row for level in colour), width, 3)
    assert pixels_of(halfblocks.colour_blocks(picture, lambda colour: colour))[:height] == colours
    grey = Picture(bytes(level for level in red.pixels for _ in range(3)), red.width, 3)
    assert halfblocks.small_colour_blocks(grey, lambda colour: colour) == halfblocks.small_blocks(red)
    large = enlarge(picture, 2 * width)
    assert [large.pixels[at : at + 3] for at in (0, 3)] == [picture.pixels[:3]] * 2
    assert halve(large) == picture


@given(st.tuples(LEVELS, LEVELS, LEVELS))
@example((240, 240, 240))
def test_a_colour_becomes_the_nearest_that_256_colours_have(colour: tuple[int, int, int]) -> None:
    """Of those that Rich would turn into something else none is given out."""
    cube = (0, 95, 135, 175, 215, 255)
    greys = [(level,) * 3 for level in (*range(8, 239, 10), 0, 255)]
    every = [*product(cube, repeat=3), *greys]
    number = Color.from_rgb(*shade_256(colour)).downgrade(ColorSystem.EIGHT_BIT).number
    assert number is not None
    got = (8 + 10 * (number - 232),) * 3 if number > 231 else list(product(cube, repeat=3))[number - 16]
    weights = (0.299, 0.587, 0.114)

    def away(other: Sequence[int]) -> float:
        return math.sqrt(sum(w * (a - b) ** 2 for w, a, b in zip(weights, colour, other, strict=True)))

    # The lowest three bits are not looked at: that moves a colour by at most 7, once for each of the two distances.
    assert away(got) <= min(map(away, every)) + 14
    assert max(abs(a - b) for a, b in zip(true_shade(colour), colour, strict=True)) < 8


@given(pictures())
def test_characters_need_no_colours(picture: Picture) -> None:
    for row in halfblocks.ascii_art(picture):
        assert [(run.foreground, run.background) for run in row] == [(None, None)]
        assert row[0].text.isascii() and len(row[0].text) == picture.width


@given(st.integers(0, 255), st.integers(0, 255))
def test_difference_is_signed(original: int, reconstruction: int) -> None:
    level = difference(Picture(bytes([original]), 1), Picture(bytes([reconstruction]), 1)).pixels[0]
    one, other = bytes([90, original, 90]), bytes([90, reconstruction, 90])  # the colour that differs counts
    assert difference(Picture(one, 1, 3), Picture(other, 1, 3)).pixels == bytes([level])
    assert (level > 128) == (reconstruction > original) and (level < 128) == (reconstruction < original)


@settings(max_examples=40)
@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([14, 28, 42, 70]), st.randoms(use_true_random=False))
def test_images_of_any_size_become_squares(width: int, height: int, side: int, dice: Random) -> None:
    """Nothing is invented, a flat image stays flat, and what is beside a narrow one is ground."""
    picture = Picture(bytes(dice.randrange(100, 200) for _ in range(width * height)), width)
    square = squared(picture, side)
    assert (square.width, square.height) == (side, side)
    assert max(square.pixels) <= max(picture.pixels)
    if width == height:
        assert min(square.pixels) >= min(picture.pixels)
        flat = squared(Picture(bytes([77]) * width * height, width), side)
        assert set(flat.pixels) == {77}
    if width >= 3 * height:
        assert set(square.row(0)) == set(square.row(side - 1)) == {0}


def test_bone_r_is_matplotlibs() -> None:
    """Against the segments that define the colour map, interpolated by numpy."""
    at = 1 - np.arange(256) / 255
    segments = (
        ((0, 0.746032, 1), (0, 0.652778, 1)),
        ((0, 0.365079, 0.746032, 1), (0, 0.319444, 0.777778, 1)),
        ((0, 0.365079, 1), (0, 0.444444, 1)),
    )
    expected = np.stack([np.interp(at, *segment) * 255 for segment in segments], axis=1)
    assert np.abs(np.array(halfblocks.BONE_R) - expected).max() < 1.5


def test_the_scale_of_differences_fits_the_page() -> None:
    """Small differences are seen, a few wrong pixels do not hide them, and the scale does not jump with each image."""
    grey = Picture(bytes([100]) * 784, 28)
    for apart, percent in ((0, 3), (5, 3), (10, 5), (60, 25), (155, 75)):
        assert fitted_scale([(grey, Picture(bytes([100 + apart]) * 784, 28))] * 20) == percent
    few_wrong = Picture(bytes([255] * 8 + [105] * 776), 28)
    assert fitted_scale([(grey, few_wrong)]) == 3 and fitted_scale([]) == SCALES[-1]
    picture = difference(grey, Picture(bytes([110]) * 784, 28), levels_of(5))
    assert picture.pixels[0] > 220  # a tenth of the old scale, and now nearly its end
