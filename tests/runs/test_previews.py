"""The preview files: bounded in number, and read as they were written."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tui_vae.runs import previews
from tui_vae.runs.previews import Originals, read_originals, read_previews, write_originals, write_preview


def test_previews_are_bounded_however_long_a_run_is(tmp_path: Path) -> None:
    """The first and the newest are always there; the rest lie equally far apart."""
    for epoch in range(1, 1001):
        if previews.is_due(epoch):
            write_preview(tmp_path, epoch, [bytes(4)], 2)
        kept = [each for each, _ in previews.preview_files(tmp_path)]
        assert len(kept) <= previews.MOST_KEPT + 2 and kept[0] == 1
    assert kept == [1, *range(32, 1001, 32)]


@given(
    data=st.data(),
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    count=st.integers(1, 4),
    channels=st.sampled_from([1, 3]),
)
@settings(max_examples=30)
def test_images_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    width: int,
    height: int,
    count: int,
    channels: int,
) -> None:
    folder = tmp_path_factory.mktemp("previews")
    size = width * height * channels
    image = st.binary(min_size=size, max_size=size)
    images = tuple(data.draw(st.lists(image, min_size=count, max_size=count)))
    originals = Originals(images, tuple(range(count)), tuple(range(count, 2 * count)), width, channels)
    write_originals(folder, originals)
    write_preview(folder, 7, images[::-1], width, channels)
    assert read_originals(folder) == originals
    assert read_previews(folder, width, channels=channels) == [(7, images[::-1])]


def test_a_width_of_one_pixel_makes_no_millions_of_images(tmp_path: Path) -> None:
    Image.new("L", (1 << 20, 1)).save(tmp_path / "originals.png")
    assert len(read_originals(tmp_path).images) == previews.MOST_IMAGES


def test_a_damaged_animation_says_nothing_on_the_screen(tmp_path: Path) -> None:
    """Pillow warns of it on stderr, which is the app's screen."""
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG")
    data = buffer.getvalue()
    animation = struct.pack(">I", 8) + b"acTL" + bytes(8)
    animation += struct.pack(">I", zlib.crc32(animation[4:]))
    (tmp_path / "originals.png").write_bytes(data[:33] + animation + data[33:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_originals(tmp_path).images) == 1
