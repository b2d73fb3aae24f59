"""Export of the saved previews as an animation that shows how they were learnt; it needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_vae.cli.animation import animated
from tui_vae.cli.export_images import enlargement
from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.runs.previews import Originals, read_originals, read_previews
from tui_vae.runs.safe_files import why_no_folder

if TYPE_CHECKING:
    from PIL import Image

SCALE = 3
"""How many times images are enlarged at most."""

GAP, MARGIN, CAPTION = 6, 12, 34
"""Pixels between images, around them, and of the line below them."""

GROUND, TEXT, QUIET, LINE, ACCENT = 0x12, 0xD0, 0x76, 0x3A, 255
"""Entries of the palette of grey images: greys by their level, and the app's accent in place of white. Frames of images
in colour each have a palette of their own, of the 256 colours that suit it best."""

ACCENT_COLOUR = (0xFF, 0xAF, 0x5F)
PALETTE = [channel for level in range(ACCENT) for channel in (level,) * 3] + list(ACCENT_COLOUR)

FILM, SHORTEST, LONGEST, LAST = 8000, 80, 500, 2500
"""Milliseconds: the whole film, a frame at least and at most, and how much longer the last one stays."""


def timelapse(directory: RunDirectory, ending: str) -> bytes:
    """A frame for every epoch whose preview was kept: originals above reconstructions, the epoch's number below.

    Raises:
        RunError: there are no previews yet.
    """
    originals = read_originals(directory.previews)
    previews = read_previews(directory.previews, originals.width, channels=originals.channels)
    if not previews or not originals.images:
        hint = why_no_folder(directory.previews) or "it gets its first after an epoch of training"
        raise RunError(f"run {directory.name!r} has no previews yet", hint)
    last = previews[-1][0]
    frames = [_frame(originals, images, (epoch, last), directory.name) for epoch, images in previews]
    each = max(SHORTEST, min(LONGEST, FILM // len(frames)))
    times = [each] * (len(frames) - 1) + [each + LAST]
    return animated(frames, times, ending, f"tui-vae, run {directory.name}")


def _frame(originals: Originals, reconstructions: Sequence[bytes], epochs: tuple[int, int], name: str) -> Image.Image:
    """`epochs`: that of the frame, and that of the last one."""
    from PIL import Image

    from tui_vae.ui.images.picture import Picture

    first = Picture.of(reconstructions[0], originals.width, originals.channels)
    mode = "L" if first.is_grey else "RGB"
    scale = enlargement((first.height, first.width), SCALE)
    tile = first.width * scale, first.height * scale
    columns = len(originals.images)
    size = columns * (tile[0] + GAP) - GAP + 2 * MARGIN, 2 * tile[1] + GAP + MARGIN + CAPTION
    frame = Image.new(mode, size, _ink(mode, GROUND))
    for y, row in enumerate((originals.images, reconstructions)):
        for x, pixels in enumerate(row[:columns]):
            image = Image.frombytes(mode, (first.width, first.height), pixels)
            if first.is_grey:
                image = image.point(lambda level: min(level, ACCENT - 1))
            place = MARGIN + x * (tile[0] + GAP), MARGIN + y * (tile[1] + GAP)
            frame.paste(image.resize(tile, Image.Resampling.NEAREST), place)
    _write_caption(frame, epochs, name)
    return frame if first.is_grey else frame.quantize(256, kmeans=1, dither=Image.Dither.NONE)


def _ink(mode: str, entry: int) -> int | tuple[int, int, int]:
    """The colour of an entry of the palette, as a frame of this mode takes it."""
    return entry if mode == "L" else ACCENT_COLOUR if entry == ACCENT else (entry,) * 3


def _write_caption(frame: Image.Image, epochs: tuple[int, int], name: str) -> None:
    """The epoch at the left, the run's name at the right and, where it leaves room, a bar of how far training is."""
    from PIL import ImageDraw, ImageFont

    epoch, last = epochs
    pen, font = ImageDraw.Draw(frame), ImageFont.load_default(size=15)
    middle = frame.height - CAPTION // 2
    pen.text((MARGIN, middle), f"epoch {epoch}", _ink(frame.mode, TEXT), font, anchor="lm")
    pen.text((frame.width - MARGIN, middle), name, _ink(frame.mode, QUIET), font, anchor="rm")
    start = MARGIN + round(pen.textlength(f"epoch {last}", font)) + MARGIN
    end = frame.width - 2 * MARGIN - round(pen.textlength(name, font))
    line, accent = _ink(frame.mode, LINE), _ink(frame.mode, ACCENT)
    if frame.mode == "L":
        frame.putpalette(PALETTE)
    if end > start:
        pen = ImageDraw.Draw(frame)
        pen.rectangle((start, middle, end, middle + 1), line)
        pen.rectangle((start, middle, start + round((end - start) * epoch / last), middle + 1), accent)
