"""How a run's preview images were learnt, as an animated GIF: from the saved previews, so it needs no network."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tui_vae.runs.directory import RunDirectory, RunError
from tui_vae.ui.film import Film, read_film

if TYPE_CHECKING:
    from PIL import Image

SCALE, LARGE_SCALE, LARGE = 3, 2, 42
"""How often an image is enlarged, and one with more than `LARGE` pixels a side."""

GAP, MARGIN, CAPTION = 6, 12, 34
"""Pixels between images, around them, and of the line below them."""

GROUND, TEXT, QUIET, LINE, ACCENT = 0x12, 0xD0, 0x76, 0x3A, 255
"""Entries of the palette: greys by their level, and the app's accent in place of white."""

ACCENT_COLOUR = (0xFF, 0xAF, 0x5F)
SECONDS, LEAST, MOST, HOLD = 8000, 80, 500, 2500
"""Milliseconds: the whole, a frame at least and at most, and how long the last one stays besides."""


def timelapse_gif(directory: RunDirectory, which: str | None = None) -> bytes:
    """A frame for every epoch whose preview was kept: originals above reconstructions, the epoch's number below.

    Raises:
        RunError: there are no previews yet.
    """
    film = read_film(directory.previews, ())
    if not film.frames or not film.originals:
        raise RunError(f"run {directory.name!r} has no previews yet", "it gets its first after an epoch of training")
    frames = [_frame(film, at, directory.name) for at in range(len(film.frames))]
    each = max(LEAST, min(MOST, SECONDS // len(frames)))
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], loop=0, optimize=False,
        duration=[each] * (len(frames) - 1) + [each + HOLD], comment=f"tui-vae, run {directory.name}".encode(),
    )  # fmt: skip
    return buffer.getvalue()


def _frame(film: Film, at: int, name: str) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    from tui_vae.ui.images.halfblocks import Picture

    epoch, images = film.frames[at]
    first = Picture.of(images[0], film.width)
    scale = SCALE if max(first.width, first.height) <= LARGE else LARGE_SCALE
    tile = first.width * scale, first.height * scale
    columns = len(film.originals)
    width = columns * (tile[0] + GAP) - GAP + 2 * MARGIN
    height = 2 * tile[1] + GAP + MARGIN + CAPTION
    frame = Image.new("L", (width, height), GROUND)
    for y, row in enumerate(([pair.original or b"" for pair in film.originals], images)):
        for x, pixels in enumerate(row[:columns]):
            image = Image.frombytes("L", (first.width, first.height), pixels)
            place = MARGIN + x * (tile[0] + GAP), MARGIN + y * (tile[1] + GAP)
            frame.paste(image.point(lambda level: min(level, ACCENT - 1)).resize(tile, Image.Resampling.NEAREST), place)
    pen, font = ImageDraw.Draw(frame), ImageFont.load_default(size=15)
    middle = height - CAPTION // 2
    last = film.frames[-1][0]
    written = f"epoch {epoch}"
    pen.text((MARGIN, middle), written, TEXT, font, anchor="lm")
    pen.text((width - MARGIN, middle), name, QUIET, font, anchor="rm")
    start = MARGIN + round(pen.textlength(f"epoch {last}", font)) + MARGIN
    end = width - 2 * MARGIN - round(pen.textlength(name, font))
    frame.putpalette([channel for level in range(ACCENT) for channel in (level,) * 3] + list(ACCENT_COLOUR))
    if end > start:  # where the name leaves room: how far training has come
        pen = ImageDraw.Draw(frame)
        pen.rectangle((start, middle, end, middle + 1), LINE)
        pen.rectangle((start, middle, start + round((end - start) * epoch / last), middle + 1), ACCENT)
    return frame
