"""Images on every kind of terminal: the tonings it offers, and the cells that an image takes whatever its size."""

import pytest

from tests.support.fake_run import images
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import Depth, ImageRenderer, cells


@pytest.mark.parametrize(
    ("depth", "names"),
    [
        (Depth.TRUE_COLOUR, ["bone", "grey", "inverted"]),
        (Depth.COLOURS_256, ["grey", "inverted"]),
        (Depth.COLOURS_16, ["grey", "inverted"]),
        (Depth.CHARACTERS, ["grey", "inverted"]),
    ],
)
def test_tonings_go_round(depth: Depth, names: list[str]) -> None:
    """bone is what true colour begins with, and each toning draws an image of its own."""
    renderer, seen, drawn = ImageRenderer(depth).with_toning("unheard of"), [], set()
    for _ in names:
        seen.append(renderer.toning.value)
        drawn.add(renderer.image(Picture.of(images()[0]), 2))
        renderer = renderer.with_next_toning()
    assert seen == names and renderer.toning.value == names[0] and len(drawn) == len(names)
    if depth is not Depth.TRUE_COLOUR:
        assert renderer.with_toning("bone").toning.value == "grey"  # remembered from another terminal


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (32, 32), (8, 8), (40, 30), (8, 90)])
def test_images_of_other_sizes_are_drawn_in_the_same_cells(width: int, height: int, channels: int) -> None:
    grey = bytes(255 if x < width // 2 else 0 for _ in range(height) for x in range(width))
    left = Picture(bytes(level for level in grey for _ in range(channels)), width, channels)
    black = Picture(bytes(len(left.pixels)), width, channels)
    for depth in Depth:
        for scale in (1, 2, 3, 5):
            for lines in (
                ImageRenderer(depth).image(left, scale),
                ImageRenderer(depth).difference(left, black, scale),
            ):
                assert len(lines) == cells(scale).height
                assert {sum(len(segment.text) for segment in line) for line in lines} == {cells(scale).width}
