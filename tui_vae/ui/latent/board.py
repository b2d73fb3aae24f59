"""Rows of decoded images: a traversal of each dimension, the way from one image to another, a page of samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.geometry import Size

from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.renderer import FULL, SMALL, cells

ENOUGH = 6
"""So many images must fit at full size; else they are shown at half size."""

Line = Sequence[tuple[str, str]]
"""Texts and the names of their inks."""


@dataclass(frozen=True)
class Board:
    """Where the images of a page stand; `head`: lines above each row, `foot`: lines below each image."""

    scale: int
    columns: int
    rows: int
    left: int
    head: int
    foot: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows

    @property
    def row_height(self) -> int:
        return self.head + cells(self.scale).height + self.foot

    def place(self, number: int) -> tuple[int, int]:
        """The upper left corner of an image."""
        row, column = divmod(number, self.columns)
        return self.left + column * (cells(self.scale).width + 1), row * self.row_height + self.head


def board_of(size: Size, scale: int, head: int = 0, foot: int = 0, odd: bool = False) -> Board:
    """As many images of a scale as fit; `odd`: an odd number of columns, so that one stands in the middle."""
    image = cells(scale)
    columns = max(1, (size.width + 1) // (image.width + 1))
    if odd and columns % 2 == 0:
        columns -= 1
    used = columns * (image.width + 1) - 1
    rows = max(1, size.height // (head + image.height + foot))
    return Board(scale, columns, rows, max(0, (size.width - used) // 2), head, foot)


def board_for(size: Size, wish: str = "", head: int = 0, foot: int = 0, odd: bool = False) -> Board:
    """Full size where enough images fit, else half size; `full` or `half` where it is wished."""
    full = board_of(size, FULL, head, foot, odd)
    fits = full.row_height <= size.height and cells(FULL).width <= size.width
    big = wish == "full" or (wish != "half" and full.capacity >= ENOUGH and full.columns >= (5 if odd else 2))
    return full if fits and big else board_of(size, SMALL, head, foot, odd)


@dataclass(frozen=True)
class Captioned:
    """An image, the words below it, and its width in pixels, 0 for a square one; None: it is still to come."""

    image: bytes | None
    caption: Line = ()
    width: int = 0


class ImageBoard(Canvas):
    """A page of images, with words above each row or below each image."""

    def __init__(self, *, head: int = 0, foot: int = 0, odd: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._head_lines, self._foot_lines, self._odd_columns = head, foot, odd
        self.wish = ""
        """The size of the images that is wished: `full`, `half`, or none."""
        self.pictures: list[Captioned] = []
        self.heads: list[Line] = []

    def board(self, room: Size) -> Board:
        return board_for(room, self.wish, self._head_lines, self._foot_lines, self._odd_columns)

    def show(self, pictures: list[Captioned], heads: list[Line] | None = None) -> None:
        self.pictures, self.heads = pictures, heads or []
        self.redraw()

    def tiles(self, size: Size) -> Iterator[Tile]:
        board = self.board(size)
        image = cells(board.scale)
        if board.head:
            for row, head in enumerate(self.heads[: board.rows]):
                yield self.text(board.left, row * board.row_height, size.width - board.left, *head)
        for number, picture in enumerate(self.pictures[: board.capacity]):
            x, y = board.place(number)
            if picture.image is not None:
                yield Tile(x, y, image.width, self.renderer.image(picture.image, board.scale, picture.width))
            if board.foot and y + image.height < size.height:
                yield self.text(x, y + image.height, image.width, *picture.caption)
