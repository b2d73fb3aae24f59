"""The charts of the Train pane: a grid of as many rows and columns as the user wants."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import Container

from tui_vae.ui.charts.widget import ChartWidget
from tui_vae.ui.train.figures import Measure


class ChartGrid(Container):
    """`rows`, `columns`: of charts. `measures`: of the first page, after which its charts are named."""

    def __init__(self, measures: Sequence[Measure], rows: int, columns: int) -> None:
        super().__init__(*map(_chart, measures), id="charts")
        self._arrange(rows, columns)

    def _arrange(self, rows: int, columns: int) -> None:
        self.styles.grid_size_rows, self.styles.grid_size_columns = rows, columns
        self.styles.grid_rows = " ".join(["1fr"] * rows)
        self.styles.grid_columns = " ".join(["1fr"] * columns)

    @property
    def charts(self) -> list[ChartWidget]:
        """The charts of this page."""
        return [chart for chart in self.query(ChartWidget) if not chart.has_class("-off")]

    def show_page(self, measures: Sequence[Measure]) -> None:
        """Have as many charts as this page has figures; more are kept for other pages."""
        for at, chart in enumerate(self.query(ChartWidget)):
            chart.set_class(at >= len(measures), "-off")

    async def change(self, measures: Sequence[Measure], rows: int, columns: int) -> None:
        """Have other charts, those of a first page."""
        await self.remove_children()
        self._arrange(rows, columns)
        await self.mount_all(map(_chart, measures))


def _chart(measure: Measure) -> ChartWidget:
    return ChartWidget(id=f"chart-{measure.name.replace(':', '-')}")
