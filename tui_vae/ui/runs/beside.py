"""Two runs', or two epochs', reconstructions of the same test images: original, one, other, below each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Static

from tui_vae.runs.run_records import Record
from tui_vae.ui import numbers
from tui_vae.ui.film import Film, read_film
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.canvas import Canvas, Tile
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL, SMALL, cells
from tui_vae.ui.key_bar import KeyBar

READING = "the saved reconstructions are being read …"
OTHERS = "have saved no reconstructions of the same test images"
NONE_YET = "has saved no reconstructions yet"


@dataclass
class Side:
    """One of the two: a run, its saved reconstructions, and which of its images both have."""

    name: str
    film: Film
    chosen: tuple[int, ...] = ()

    @property
    def images(self) -> list[Picture]:
        """The reconstructions in the current frame."""
        pairs = self.film.pairs
        return [pairs[at].reconstruction for at in self.chosen if at < len(pairs)]

    @property
    def originals(self) -> list[Picture]:
        return [image for at in self.chosen if (image := self.film.originals[at].original) is not None]

    @property
    def text(self) -> str:
        """`run epoch 7 mse 0.0093`: of these images alone."""
        errors = [mse(one, other) for one, other in zip(self.originals, self.images, strict=False)]
        mean = numbers.metric(sum(errors) / len(errors), 0) if errors else numbers.UNKNOWN
        return f"{self.name} epoch {self.film.epoch} mse {mean}"


def mse(one: Picture, other: Picture) -> float:
    """Mean squared error a pixel, and in colour a channel, on [0, 1]."""
    pixels = list(zip(one.pixels, other.pixels, strict=True))
    return sum((a - b) ** 2 for a, b in pixels) / (255**2 * len(pixels))


def sides_of(films: list[tuple[str, Film]]) -> list[Side]:
    """The two sides, with the images that both have: the same pixels under the same number."""
    (_, one), (_, other) = films
    there = {(pair.index, pair.original): at for at, pair in enumerate(other.originals)}
    common = [
        (at, there[pair.index, pair.original])
        for at, pair in enumerate(one.originals)
        if (pair.index, pair.original) in there
    ]
    columns = list(zip(*common, strict=True)) or [(), ()]
    return [Side(name, film, chosen) for (name, film), chosen in zip(films, columns, strict=True)]


class BesideCanvas(Canvas):
    """As many of the images as fit, each a column of three."""

    def __init__(self) -> None:
        super().__init__(id="beside-images")
        self.sides: list[Side] = []

    @property
    def example(self) -> Picture | None:
        return next(iter(self.sides[0].images), None) if self.sides else None

    def tiles(self, size: Size) -> Iterable[Tile]:
        if not self.sides:
            return
        rows = [self.sides[0].originals, *(side.images for side in self.sides)]
        scale = FULL if size.height >= 3 * cells(FULL).height else SMALL
        image = cells(scale)
        fitting = max(1, (size.width + 1) // (image.width + 1))
        for y, row in enumerate(rows):
            for x, picture in enumerate(row[:fitting]):
                lines = self.renderer.image(picture, scale)
                yield Tile(x * (image.width + 1), y * image.height, image.width, lines)


class Beside(Screen[None]):
    """`runs`: the two; one alone is shown at its first and at its newest epoch."""

    CSS_PATH = "beside.tcss"
    TITLE = "Side by side"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "epoch(-1)", "epoch", id="beside.left", tooltip="The epoch before, of the chosen side"),
        Binding("right", "epoch(1)", "epoch", id="beside.right", tooltip="The next epoch of the chosen side"),
        Binding("tab,up,down,j,k", "turn", "other side", id="beside.turn", tooltip="Choose the other side"),
        Binding("home,g", "epoch(-1000000)", "first", id="beside.first", show=False, tooltip="Its first epoch"),
        Binding("end,G", "epoch(1000000)", "newest", id="beside.last", show=False, tooltip="Its newest epoch"),
        Binding("escape", "app.pop_screen", "back", id="beside.back", tooltip="Back to the runs"),
    ]

    def __init__(self, runs: list[Record]) -> None:
        super().__init__()
        self._runs = runs
        self._chosen = 0
        self._nothing = READING
        """Why there are no images."""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(id="beside-head", markup=False)
            yield BesideCanvas()
        yield KeyBar()

    def on_mount(self) -> None:
        self.run_worker(self._read())

    @property
    def _canvas(self) -> BesideCanvas:
        return self.query_one(BesideCanvas)

    async def _read(self) -> None:
        first, last = self._runs[0], self._runs[-1]
        films = [
            (record.name, await asyncio.to_thread(read_film, record.directory.previews, ()))
            for record in ((first, first) if first is last else (first, last))
        ]
        if first is last:
            films[0][1].position = 0
        sides = sides_of(films)
        if sides[0].chosen and all(side.film.frames for side in sides):
            self._canvas.sides = sides
        without = [side.name for side in sides if not side.film.frames]
        self._nothing = f"{without[0]} {NONE_YET}" if without else f"{first.name} and {last.name} {OTHERS}"
        self._show()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        sides = self._canvas.sides
        lines = [
            f"{'›' if at == self._chosen else ' '} {('middle', 'below')[at]}: {side.text}"
            for at, side in enumerate(sides)
        ]
        text = "\n".join(["  above: the original", *lines]) if sides else self._nothing
        self.query_one("#beside-head", Static).update(glyphs().plain(text))
        self._canvas.redraw()

    def action_turn(self) -> None:
        self._chosen = 1 - self._chosen
        self._show()

    def action_epoch(self, by: int) -> None:
        if self._canvas.sides:
            self._canvas.sides[self._chosen].film.step(by)
            self._show()
