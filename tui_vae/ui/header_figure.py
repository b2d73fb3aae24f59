"""The one figure that matters, at the right end of the header: bits a pixel on the test set, now, and to the best."""

from __future__ import annotations

import math
from typing import ClassVar

from textual.strip import Strip

from tui_vae.runs.history import History
from tui_vae.ui.big_digits import big
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.numbers import MINUS, UNKNOWN
from tui_vae.ui.session import RunSession
from tui_vae.ui.strip_widget import StripWidget

BIG_FROM = 100
"""Cells of the screen's width from which the figure takes both lines of the header."""

DIGITS = 4
"""Digits of the figure: three decimals tell two good runs apart (runs of one recipe differ by 0.01 bits)."""

WIDTH = DIGITS * 4 + 1
"""Cells of the figure where it is large: digits of three cells, a point, and a cell between two signs."""

Words = list[tuple[str, str]]
"""Texts, each with its role."""


def figure_text(value: float | None) -> str:
    """The figure in `DIGITS` digits: `6.742`, `12.34`; a dash where there is none."""
    if value is None or not math.isfinite(value) or not 0 <= value < 1000:
        return UNKNOWN
    whole = len(str(int(value)))
    return f"{value:.{max(0, DIGITS - whole)}f}"


def change(history: History) -> tuple[str, str]:
    """How the newest epoch stands to the best one, and the role of these words; empty where it cannot be said."""
    best, newest = history.best, history.epochs[-1] if history.epochs else None
    if newest is None or best is None or newest.test.elbo_bpd is None or best.test.elbo_bpd is None:
        return "", "note"
    if newest.epoch == best.epoch:
        return "best yet", "best" if newest.test.active_units else "note"  # the best of a collapsed run is no good news
    apart = newest.test.elbo_bpd - best.test.elbo_bpd
    sign = "+" if apart >= 0 else MINUS
    return f"{sign}{abs(apart):.3f} to epoch {best.epoch}", "note"


RANKED_BY = {"loss": "test loss", "bits": "test bits a pixel", "mse": "test mse"}
"""The figures by which a run's epochs are ranked, by the values of `best-by`."""


def explained(best_by: str) -> str:
    """What the figure is and what it is held against. `best_by`: the option of the run."""
    return (
        "Bits a pixel on the test set after the newest epoch. “+0.012 to epoch 5”: so much above those of this run's "
        f"best epoch, the one of the lowest {RANKED_BY[best_by]}; “best yet”: it is the newest one"
    )


def is_big(screen_width: int) -> bool:
    """Whether the figure is large on a screen of this width."""
    return screen_width >= BIG_FROM and glyphs().braille


def newest_text(history: History) -> str:
    """The newest epoch's figure."""
    return figure_text(history.epochs[-1].test.elbo_bpd if history.epochs else None)


def upper_half(history: History, screen_width: int) -> str:
    """What stands of the figure in the header's first line, with a blank cell at both ends; empty where it is small."""
    return f" {big(newest_text(history))[0].rjust(WIDTH)} " if is_big(screen_width) else ""


class HeaderFigure(StripWidget):
    """The second line's part: the lower half of the figure, or all of it where it is small, and what it is."""

    PREFIX = "figure"
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"figure--{role}" for role in ("label", "note", "number", "best")}

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session

    def refresh_history(self) -> None:
        """Draw what the history tells now."""
        self.redraw()

    def draw(self) -> list[Strip]:
        history, width = self.session.history, self.size.width
        for words in self._choices(history):
            length = sum(len(text) for text, _ in words)
            if length <= width:
                return [self.strip([(" " * (width - length), "label"), *words])]
        return [Strip.blank(width, self.rich_style)]

    def _choices(self, history: History) -> list[Words]:
        """The words, the most first, of which those are shown that there is room for."""
        said, role = change(history)
        label: Words = [("bits/px ", "label")]
        plain = glyphs().plain
        after: Words = [(f"  {plain(said)}", role)] if said else []
        if not is_big(self.app.size.width):
            if not history.epochs:
                return []
            number: Words = [(plain(newest_text(history)), "number")]
            return [[*label, *number, *after, (" ", "label")], [*label, *number, (" ", "label")]]
        lower: Words = [(f"  {big(newest_text(history))[1].rjust(WIDTH)} ", "number")]
        before: Words = [(f"{said}  ", role)] if said else []
        return [[*before, ("bits/px", "label"), *lower], [("bits/px", "label"), *lower], lower]
