"""The dialog in which the user chooses the figures of the Train pane's charts, and their grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from tui_vae.ui.list_keys import LIST_KEYS
from tui_vae.ui.terminal import legible
from tui_vae.ui.train.figures import FIGURES, MOST_COLUMNS, MOST_ROWS, USUAL, Measure, measure_of
from tui_vae.ui.workarounds.key_bursts import Input


class Charts(NamedTuple):
    """Names of figures in their order, and the rows and columns of charts on a page."""

    names: tuple[str, ...]
    rows: int
    columns: int


class FigureList(OptionList):
    """All figures, `[x]` before those that are shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *LIST_KEYS,
        Binding("space", "turn", "shown or not", id="charts.turn", tooltip="Show the figure, or not"),
    ]

    def __init__(self, shown: Sequence[str]) -> None:
        self.shown = set(shown)
        super().__init__(
            *(Option(self._line(figure), id=figure.name) for figure in FIGURES), compact=True, markup=False
        )

    def _line(self, figure: Measure) -> str:
        return legible(f"[{'x' if figure.name in self.shown else ' '}] {figure.title}")

    def choose(self, *names: str) -> None:
        """Show these figures and no others."""
        self.shown = set(names)
        for figure in FIGURES:
            self.replace_option_prompt(figure.name, self._line(figure))

    def action_turn(self) -> None:
        if self.highlighted is not None:
            self.choose(*self.shown ^ {FIGURES[self.highlighted].name})


class ChooseCharts(ModalScreen[Charts | None]):
    """Answers with what was chosen, or None."""

    CSS_PATH = "choose_charts.tcss"
    AUTO_FOCUS = "FigureList"
    TITLE = "Charts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "columns(-1)", "columns", id="charts.fewer", tooltip="Fewer charts beside each other"),
        Binding("right", "columns(1)", "columns", id="charts.more", tooltip="More charts beside each other"),
        Binding("shift+up", "rows(-1)", "rows", id="charts.lower", tooltip="Fewer charts below each other"),
        Binding("shift+down", "rows(1)", "rows", id="charts.higher", tooltip="More charts below each other"),
        Binding("enter", "keep", "keep", id="charts.keep", priority=True, tooltip="Keep these charts"),
        Binding("ctrl+r", "usual", "as usual", id="charts.usual", tooltip="The usual charts"),
        Binding("escape", "cancel", "cancel", id="charts.cancel", tooltip="Close without changing anything"),
    ]

    def __init__(self, names: Sequence[str], rows: int, columns: int, dimensions: int) -> None:
        """`dimensions`: of the latent space, each of which has a KL."""
        super().__init__()
        self._rows, self._columns, self._dimensions = rows, columns, dimensions
        self._names = tuple(names) or USUAL

    def compose(self) -> ComposeResult:
        shown = [name for name in self._names if (measure := measure_of(name)) and measure.dimension is None]
        numbers = [str(measure.dimension) for name in self._names if (measure := measure_of(name))
                   and measure.dimension is not None]  # fmt: skip
        with Vertical(classes="dialog"):
            yield Label("Charts of the Train pane", classes="question")
            yield FigureList(shown)
            yield Label(legible(f"KL of latent dimensions, such as 0,3 (0 to {self._dimensions - 1}):"))
            yield Input(",".join(numbers), compact=True, restrict=r"[0-9, ]*")
            yield Label("", id="charts-grid")
            keys = "space figure  ← → columns  shift+↑ ↓ rows  ^r usual  enter keep"
            yield Label(legible(keys), classes="keys", markup=False)

    def on_mount(self) -> None:
        self._say()

    def _say(self) -> None:
        self.query_one("#charts-grid", Label).update(
            legible(f"{self._rows} × {self._columns} charts on a page; v turns to the next page")
        )

    def action_columns(self, by: int) -> None:
        self._columns = max(1, min(self._columns + by, MOST_COLUMNS))
        self._say()

    def action_rows(self, by: int) -> None:
        self._rows = max(1, min(self._rows + by, MOST_ROWS))
        self._say()

    def action_usual(self) -> None:
        self.dismiss(Charts((), 2, 2))

    def action_keep(self) -> None:
        listed = self.query_one(FigureList)
        chosen = [figure.name for figure in FIGURES if figure.name in listed.shown]
        numbers = [word for word in self.query_one(Input).value.replace(",", " ").split() if len(word) <= 4]
        chosen += dict.fromkeys(f"kl:{int(word)}" for word in numbers if int(word) < self._dimensions)
        if not chosen:
            self.app.notify("Choose one figure at least.", severity="warning", timeout=4)
            return
        names = () if tuple(chosen) == USUAL else tuple(chosen)
        self.dismiss(Charts(names, self._rows, self._columns))

    def action_cancel(self) -> None:
        self.dismiss(None)
