"""Steps of tests of the Browse pane."""

from textual.pilot import Pilot

from tests.support.piloting import until
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.browse.pane import BrowsePane


def opening(run: RunDirectory) -> TuiVae:
    """The app as it was left in Browse."""
    app = TuiVae(run.path.parent, run)
    app.preferences.pane = "browse"
    return app


async def browse(app: TuiVae, pilot: Pilot[str]) -> BrowsePane:
    """Open the pane and wait for its first page."""
    await pilot.press("2")
    pane = app.screen.query_one(BrowsePane)
    await until(pilot, lambda: pane.weights is not None)
    return pane


def shown(pane: BrowsePane) -> list[int | None]:
    return [pair.index for pair in pane.query_one(PairGrid).pairs]
