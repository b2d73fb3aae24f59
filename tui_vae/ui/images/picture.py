"""Images as bytes: their sizes, and how they become larger, smaller, square, or the difference of two.

These are pure functions over bytes: no terminal, no toolkit, no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SIDE = 28
"""Pixels along one side of a FashionMNIST image, for which the layout of all panes is made."""

NO_DIFFERENCE = 128
"""The level that a picture of differences has where both images agree."""

FULL_DIFFERENCE = 64
"""Levels of difference, of 255, that are shown at full strength where no page says otherwise."""

SCALES = (3, 5, 8, 10, 15, 20, 25, 30, 40, 50, 75, 100)
"""Percents of the way from black to white that a map of differences may show at full strength: few, so that the scale
of a page stays the same while its images are learnt."""

BEYOND = 0.05
"""The share of a page's pixels that may lie beyond its scale: a few wrong pixels would hide all the others."""

MOST_LOOKED_AT = 20_000
"""Pixels that a page's scale is found from."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image, row after row: a byte a pixel where it is grey, else three, red, green and blue."""

    pixels: bytes
    width: int = SIDE
    channels: int = 1

    @classmethod
    def of(cls, pixels: bytes, width: int = 0, channels: int = 1) -> Picture:
        """A picture of these pixels. Without a width it is a square."""
        return cls(pixels, width or math.isqrt(len(pixels) // channels), channels)

    @property
    def is_grey(self) -> bool:
        return self.channels == 1

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return len(self.pixels) // (self.width * self.channels)

    def row(self, y: int) -> bytes:
        """The bytes of row y; none below the last row."""
        size = self.width * self.channels
        return self.pixels[y * size : (y + 1) * size]

    def plane(self, y: int, channel: int) -> bytes:
        """One channel of row y, a byte a pixel."""
        return self.row(y)[channel :: self.channels]

    def luminance(self) -> Picture:
        """The picture in grey: 0.299 of red, 0.587 of green, 0.114 of blue (ITU-R 601)."""
        if self.is_grey:
            return self
        from PIL import Image

        whole = Image.frombytes("RGB", (self.width, self.height), self.pixels)
        return Picture(whole.convert("L").tobytes(), self.width)


def split(images: bytes, count: int, width: int = 0, channels: int = 1) -> list[Picture]:
    """The `count` pictures of one size that stand in a row in `images`, each `width` pixels wide or, with 0, square."""
    size = len(images) // count if count else 0
    return [Picture.of(images[at * size : (at + 1) * size], width, channels) for at in range(count)]


def difference(original: Picture, reconstruction: Picture, full: int = FULL_DIFFERENCE) -> Picture:
    """The signed difference in grey: `NO_DIFFERENCE` where both agree, 0 or 255 from `full` levels of difference on.

    Of a pixel's three colours it is that of the one that differs most.

    Raises ValueError where the two have different lengths.
    """
    apart = [second - first for first, second in zip(original.pixels, reconstruction.pixels, strict=True)]
    if not original.is_grey:
        apart = [max(three, key=abs) for three in zip(apart[::3], apart[1::3], apart[2::3], strict=True)]
    levels = bytes(min(255, max(0, NO_DIFFERENCE + each * NO_DIFFERENCE // full)) for each in apart)
    return Picture(levels, original.width)


def fitted_scale(pairs: Sequence[tuple[Picture, Picture]]) -> int:
    """The one of `SCALES` that fits these originals and reconstructions: nearly all differences lie within it."""
    step = max(1, sum(len(original.pixels) for original, _ in pairs) // MOST_LOOKED_AT)
    apart = sorted(
        abs(second - first)
        for original, made in pairs
        for first, second in zip(original.pixels[::step], made.pixels[::step], strict=True)
    )
    if not apart:
        return SCALES[-1]
    largest = apart[min(len(apart) - 1, int(len(apart) * (1 - BEYOND)))]
    return next(percent for percent in SCALES if levels_of(percent) >= largest or percent == SCALES[-1])


def levels_of(percent: int) -> int:
    """So many percents of the way from black to white, in levels."""
    return round(percent * 255 / 100)


def squared(picture: Picture, side: int, margin: int = 0) -> Picture:
    """The picture as a square of `side` × `side` pixels; beside or above and below one that is no square, the level is
    `margin`. Pixels are repeated if the square is larger than the picture, and averaged if it is smaller."""
    if picture.width != picture.height:
        longer = max(picture.width, picture.height)
        left, above = (longer - picture.width) // 2, (longer - picture.height) // 2
        right, below = longer - picture.width - left, longer - picture.height - above
        pad = bytes([margin]) * picture.channels
        rows = [pad * left + picture.row(y) + pad * right for y in range(picture.height)]
        pixels = pad * longer * above + b"".join(rows) + pad * longer * below
        picture = Picture(pixels, longer, picture.channels)
    return enlarge(picture, side) if picture.width < side else reduce(picture, side)


def reduce(picture: Picture, width: int) -> Picture:
    """The picture at most `width` pixels wide, in its proportions. Each new pixel is the mean of those it covers."""
    if picture.width <= width:
        return picture
    from PIL import Image

    height = max(1, round(picture.height * width / picture.width))
    mode = "L" if picture.is_grey else "RGB"
    whole = Image.frombytes(mode, (picture.width, picture.height), picture.pixels)
    return Picture(whole.resize((width, height), Image.Resampling.BOX).tobytes(), width, picture.channels)


def enlarge(picture: Picture, width: int) -> Picture:
    """The picture `width` pixels wide, its pixels repeated: honest, and half the bytes of a smooth enlargement."""
    columns = [x * picture.width // width for x in range(width)]
    height = picture.height * width // picture.width
    rows: list[bytes] = []
    for y in range(height):
        source = y * picture.height // height
        if y and source == (y - 1) * picture.height // height:
            rows.append(rows[-1])
        else:
            planes = (picture.plane(source, channel) for channel in range(picture.channels))
            rows.append(_joined([bytes(plane[x] for x in columns) for plane in planes]))
    return Picture(b"".join(rows), width, picture.channels)


def halve(picture: Picture) -> Picture:
    """The picture at half its width and half its height. Each new pixel is the mean of four."""
    rows = []
    for y in range(0, picture.height - 1, 2):
        planes = []
        for channel in range(picture.channels):
            top, bottom = picture.plane(y, channel), picture.plane(y + 1, channel)
            quads = zip(top[::2], top[1::2], bottom[::2], bottom[1::2], strict=False)
            planes.append(bytes((sum(quad) + 2) // 4 for quad in quads))
        rows.append(_joined(planes))
    return Picture(b"".join(rows), picture.width // 2, picture.channels)


def _joined(planes: Sequence[bytes]) -> bytes:
    """The channels of a row as its pixels."""
    row = bytearray(len(planes) * len(planes[0]))
    for channel, plane in enumerate(planes):
        row[channel :: len(planes)] = plane
    return bytes(row)
