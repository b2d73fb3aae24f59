"""Pages of decoded images: traversals of dimensions, an interpolation between two images, samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.geometry import Size

from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL, SMALL, cells

Line = Sequence[tuple[str, str]]
"""Texts, each with the name of its ink."""


@dataclass(frozen=True)
class Board:
    """Where the images of a page stand."""

    scale: int
    columns: int
    rows: int
    left: int
    """Columns of cells before the first image."""
    head: int
    """Lines of text above each row."""
    foot: int
    """Lines of text below each image."""

    @property
    def capacity(self) -> int:
        """Images on a page."""
        return self.columns * self.rows

    @property
    def row_height(self) -> int:
        """Lines of a row of images with its texts."""
        return self.head + cells(self.scale).height + self.foot

    def place(self, number: int) -> tuple[int, int]:
        """The upper left corner of an image."""
        row, column = divmod(number, self.columns)
        return self.left + column * (cells(self.scale).width + 1), row * self.row_height + self.head


def board_of(size: Size, scale: int, head: int = 0, foot: int = 0, odd: bool = False) -> Board:
    """As many images of a scale as fit, at least one; `odd`: in an odd number of columns, which has a middle."""
    image = cells(scale)
    columns = max(1, (size.width + 1) // (image.width + 1))
    if odd and columns % 2 == 0:
        columns -= 1
    used = columns * (image.width + 1) - 1
    rows = max(1, size.height // (head + image.height + foot))
    return Board(scale, columns, rows, max(0, (size.width - used) // 2), head, foot)


PATH = 3
"""Images beside each other, at least, that show how one becomes another."""


def board_for(size: Size, wish: str = "", head: int = 0, foot: int = 0, odd: bool = False, least: int = 1) -> Board:
    """The board in the size that the user wishes, `full` or `half`; without a wish, the one that shows the most images.

    Where fewer images than `least` fit beside each other at full size, it is half size.
    """
    full, half = board_of(size, FULL, head, foot, odd), board_of(size, SMALL, head, foot, odd)
    fits = full.row_height <= size.height and cells(FULL).width <= size.width and full.columns >= least
    big = wish == "full" or (wish != "half" and full.capacity >= half.capacity)
    return full if fits and big else half


@dataclass(frozen=True)
class Captioned:
    """An image and the words below it."""

    image: Picture
    caption: Line = ()


class ImageBoard(Canvas):
    """A page of images, with words above each row or below each image."""

    def __init__(
        self, *, head: int = 0, foot: int = 0, odd: bool = False, least: int = 1, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._head_lines, self._foot_lines, self._odd_columns, self._least = head, foot, odd, least
        self.wish = ""
        """The size of the images that the user wishes: `full`, `half`, or empty."""
        self.pictures: list[Captioned] = []
        self.heads: list[Line] = []
        """The words above each row."""
        self.selected: int | None = None
        """The place of an image whose caption is marked."""

    def board(self, room: Size) -> Board:
        """Where images stand in so much room. The pane asks before the board is shown and has a size."""
        return board_for(room, self.wish, self._head_lines, self._foot_lines, self._odd_columns, self._least)

    def show(self, pictures: list[Captioned], heads: list[Line] | None = None) -> None:
        """Show these images. `heads`: the text above each row, where there are such."""
        self.pictures, self.heads = pictures, heads or []
        self.redraw()

    @property
    def example(self) -> Picture | None:
        return self.pictures[0].image if self.pictures else None

    def tiles(self, size: Size) -> Iterator[Tile]:
        board = self.board(size)
        image = cells(board.scale)
        if board.head:
            for row, head in enumerate(self.heads[: board.rows]):
                yield self.text(board.left, row * board.row_height, size.width - board.left, *head)
        for number, picture in enumerate(self.pictures[: board.capacity]):
            x, y = board.place(number)
            yield Tile(x, y, image.width, self.renderer.image(picture.image, board.scale))
            if board.foot and y + image.height < size.height:
                mark = (("▸ ", "accent"),) if number == self.selected else ()
                yield self.text(x, y + image.height, image.width, *mark, *picture.caption)
