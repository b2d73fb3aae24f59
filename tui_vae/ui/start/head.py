"""The head of the start screen: the program's name, what it is for, and what is new since last time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.strip import Strip

from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.numbers import age
from tui_vae.ui.start.news import News
from tui_vae.ui.strip_widget import StripWidget
from tui_vae.ui.terminal import legible

MARK = ("▀█▀ █ █ █    █ █ █▀█ █▀▀", " █  █ █ █ ▀▀ █ █ █▀█ █▀▀", " ▀  ▀▀▀ ▀     ▀  ▀ ▀ ▀▀▀")
"""The name in half blocks, for screens with room for it."""

WHAT = "train a variational autoencoder on FashionMNIST or images of your own"
HOW = "enter trains the recipe under the cursor, or opens the run"

GAP = 3
"""Cells between two pieces of news."""

Line = list[tuple[str, str]]
"""Texts, each with its role."""


class Head(StripWidget):
    """Three lines, of which the last is blank, or on a tall screen five, or on a low one the first."""

    PREFIX = "head"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"head--{role}" for role in ("mark", "note", "label", "name", "finished", "warning", "failed", "crashed")
    }

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._news: Sequence[News] = ()
        self._seconds: float | None = None
        """Since the user was last here; None where that is not known."""

    def show(self, news: Sequence[News], seconds: float) -> None:
        """Show what is new since so many seconds ago."""
        self._news, self._seconds = news, seconds
        self.redraw()

    def draw(self) -> list[Strip]:
        width, height = self.size
        unicode = glyphs().braille
        if height >= len(MARK) + 1 and unicode and width > len(MARK[0]) + len(WHAT):
            room = width - len(MARK[0]) - GAP
            how: Line = [(legible(HOW), "label")] if self._seconds is not None else []
            beside: list[Line] = [[(WHAT, "note")], self._second(room), how]
            lines = [[(mark, "mark"), (" " * GAP, "note"), *line] for mark, line in zip(MARK, beside, strict=True)]
        else:
            lines = [[("tui-vae", "mark"), ("  ", "note"), (WHAT, "note")], self._second(width)]
            if height > len(lines) + 1 and self._seconds is not None:
                lines.append([(legible(HOW), "label")])
        lines = lines[:height]
        blank: list[Line] = [[]] * (height - len(lines))
        return [self.strip(line).adjust_cell_length(width, self.rich_style) for line in (*lines, *blank)]

    def _second(self, width: int) -> Line:
        """The news, as much of them as fits; without any, what to do."""
        if self._seconds is None:
            return [(legible(HOW), "label")]
        since = f"since last time, {age(self._seconds)} ago"
        if not self._news:
            return [(f"nothing new {since}", "label")]
        line: Line = [(f"{since}: ", "label")]
        used = len(since) + 2
        for number, each in enumerate(self._news):
            rest = len(self._news) - number
            more = f"and {rest} more"
            if used + each.width + (len(more) + GAP if rest > 1 else 0) > width:
                name = shortened(each.name, max(1, width - used - each.width + len(each.name)))
                if number or used + each.width - len(each.name) + len(name) > width:
                    line.append((more, "label"))
                    return line
                each = News(each.role, each.glyph, name, each.what)
            line += [(f"{each.glyph} ", each.role), (each.name, "name"), (f" {legible(each.what)}", each.role)]
            line.append((" " * GAP, "note"))
            used += each.width + GAP
        return line
