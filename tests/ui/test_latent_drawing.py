"""Latent as pure functions: points as cells, the cursor and its latent, bars, boards, colours of classes."""

import math
import re
from array import array
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from rich.color import Color, ColorSystem
from textual.geometry import Size

import tui_vae.ui
from tests.support.latent_process import (
    latent_map,
    pack,
)
from tests.support.vision import VISION, is_exact, lab
from tui_vae.runs.float_arrays import decode_floats
from tui_vae.ui.images.renderer import FULL, cells
from tui_vae.ui.latent.canvas import CLASS_COLOURS, class_mark
from tui_vae.ui.latent.image_board import PATH, board_for
from tui_vae.ui.latent.kl_bars import bar, row_of, top_of
from tui_vae.ui.latent.plane import Extent, between, extent_of, plane_of
from tui_vae.ui.latent.scatter_cells import gather


def test_points_become_cells_and_the_most_frequent_class_wins() -> None:
    xs, ys = [0.1, 0.2, 0.9, 1.5, 3.9, 9.0, math.nan], [1.9, 1.8, 1.1, 0.1, 0.1, 0.5, 0.5]
    found = gather(xs, ys, bytes([7, 7, 2, 2, 0, 1, 1]), Extent(0, 4, 0, 2), 4, 2)
    assert list(found.classes) == [8, 0, 0, 0, 0, 3, 0, 1]
    assert found.dots[0] == 0x01 | 0x80 and found.dots[7] == 0x80


def test_the_cursor_and_its_latent() -> None:
    plane = plane_of(latent_map())
    assert list(plane.latent(2, -1)) == [2, -1, 0.5, 0]
    extent = extent_of(plane)
    for cell in ((0, 0), (17, 5), (39, 11)):
        assert extent.cell(extent.centre(*cell, 40, 12), 40, 12) == cell
    assert extent.cell((-99, 99), 40, 12) == (0, 0) and extent.cell((99, -99), 40, 12) == (39, 11)
    at = plane.nearest(plane.xs[123], plane.ys[123])
    assert at == 123
    assert [row[1] for row in plane.traversal([0, 9, 9, 9], 1, (-3, 0, 3))] == [-3, 0, 3]
    assert [row[3] for row in plane.traversal([9, 9, 9, 9], 3, (-3, 0, 3))] == [-3, 0, 3]  # inactive: the prior's σ
    assert between([0, 2], [1, 0], 3) == [[0, 2], [0.5, 1], [1, 0]]
    assert plane.active_units == 3 and plane.by_kl() == [2, 0, 1, 3]


def test_the_picture_neither_flips_nor_jumps() -> None:
    before = plane_of(latent_map())
    flipped = plane_of(latent_map(sign=-1.0), before)
    assert flipped.xs == before.xs and list(flipped.latent(1, 0)) == list(before.latent(1, 0))
    message = latent_map()
    points = decode_floats(message.points)
    swapped = msgspec.structs.replace(
        message, points=pack(*(value for a, b in zip(points[::2], points[1::2], strict=True) for value in (b, a))),
        directions=message.directions[16:] + message.directions[:16], explained=(0.3, 0.6),
    )  # fmt: skip
    turned = plane_of(swapped, before)
    assert turned.xs == before.xs and turned.explained == before.explained
    extent = extent_of(before)
    crept = replace(before, xs=array("f", [x * 0.97 for x in before.xs]))
    assert extent_of(crept, extent) == extent
    grown = replace(before, xs=array("f", [x * 3 for x in before.xs]))
    assert extent_of(grown, extent).right > extent.right
    broken = replace(before, xs=array("f", [math.nan] * len(before.xs)))
    assert extent_of(broken, extent).right == extent.right


def test_bars() -> None:
    assert bar(1, 3) == "███" and bar(0.5, 3) == " ▄█" and bar(0, 3) == "   " and bar(1e-9, 3) == "  ▁"
    assert bar(math.nan, 2) == "  "
    assert top_of([2.9, 0.1]) >= 2.9 and top_of([]) == top_of([0.0]) == 1.0 == top_of([math.nan])
    assert row_of(70, 32, 0).count == 32 and row_of(70, 32, 0).step == 2
    window = row_of(70, 512, 300)
    assert window.step == 1 and window.first <= 300 < window.first + window.count <= 512


@pytest.mark.parametrize(("width", "height"), [(78, 20), (118, 27), (118, 35), (158, 43), (198, 55), (40, 9)])
def test_boards_stay_inside(width: int, height: int) -> None:
    for wish in ("", "full", "half"):
        for head, foot, odd in ((1, 0, True), (0, 1, False)):
            board = board_for(Size(width, height), wish, head, foot, odd)
            x, y = board.place(board.capacity - 1)
            assert x + cells(board.scale).width <= width and y + cells(board.scale).height + foot <= height
            assert not odd or board.columns % 2


def test_images_of_full_size_give_way_where_too_few_of_them_show_a_path() -> None:
    narrow, wide = Size(78, 20), Size(118, 35)
    assert (
        board_for(narrow, "full", foot=1).scale == FULL and board_for(narrow, "full", foot=1, least=PATH).columns == 5
    )
    assert board_for(wide, "full", head=1, odd=True, least=PATH).scale == FULL


def test_class_colours_are_apart_in_16_exact_in_256_and_apart_there_for_every_eye() -> None:
    sheet = (Path(tui_vae.ui.__file__).parent / "latent" / "latent.tcss").read_text()
    found = [Color.parse(colour) for colour in re.findall(r"latent--class-\d \{ color: (#\w+)", sheet)]
    assert len(found) == 40
    for colours in (found[20:30], found[30:]):
        assert len({colour.downgrade(ColorSystem.STANDARD).number for colour in colours}) == 10, "of 16"
    for colours in (found[:10], found[10:20]):
        for colour in colours:
            assert is_exact(colour) or colour.name == "#121212"
        for vision in VISION:
            places = [lab(colour, vision) for colour in colours]
            assert min(math.dist(a, b) for a, b in combinations(places, 2)) > 22, vision


def test_classes_beyond_ten_are_told_apart_by_colour_or_mark() -> None:
    pairs = {(label % CLASS_COLOURS, class_mark(label)) for label in range(100)}
    assert len(pairs) == 100
    labels = [999, 3, 999]
    found = gather([0.5, 2.5, 0.5], [0.5, 0.5, 0.5], labels, Extent(0, 4, 0, 1), 4, 1)
    assert list(found.classes) == [1000, 0, 4, 0]


def test_a_dimension_may_be_active_by_the_textbook_and_tell_nothing() -> None:
    reply = msgspec.structs.replace(latent_map(), kl_per_dim=(2.5, 0.006, 0.1, 0.001))
    plane = plane_of(reply)
    assert (plane.active_units, plane.informative_units) == (3, 1)
    assert [plane.active(each) and not plane.informative(each) for each in range(4)] == [False, True, True, False]
