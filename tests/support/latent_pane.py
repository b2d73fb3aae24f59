"""The pane Latent, opened as a user opens it."""

from textual.pilot import Pilot

from tests.support.piloting import until
from tui_vae.ui.app import TuiVae
from tui_vae.ui.latent.pane import LatentPane
from tui_vae.ui.latent.plane_view import CursorImage


async def latent(app: TuiVae, pilot: Pilot[str]) -> LatentPane:
    """Open the pane and wait for its plane and the image at the cursor."""
    await pilot.press("3")
    pane = app.screen.query_one(LatentPane)
    await until(pilot, lambda: pane.query_one(CursorImage).image is not None)
    return pane
