"""Browse on images in colour."""

from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, until
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.images.renderer import Depth, ImageRenderer


class InColour(FakeProcess):
    """Its images are red where those of other processes are bright."""

    def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
        reply = super()._answer(request)
        if not isinstance(reply, protocol.Reconstructions):
            return reply
        originals, made = (
            bytes(part for level in images for part in (level, 0, 0))
            for images in (reply.originals, reply.reconstructions)
        )
        return msgspec.structs.replace(reply, originals=originals, reconstructions=made, channels=3)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path, epochs=3)


async def grid_of(app: TuiVae, pilot: Pilot[str]) -> PairGrid:
    await pilot.press("2")
    grid = app.screen.query_one(PairGrid)
    await until(pilot, lambda: bool(grid.pairs) and not grid.pairs[0].reconstruction.is_grey)
    return grid


@pytest.mark.parametrize(
    ("depth", "coloured"),
    [(Depth.TRUE_COLOUR, True), (Depth.COLOURS_256, True), (Depth.COLOURS_16, False), (Depth.CHARACTERS, False)],
)
@in_event_loop
async def test_images_in_colour_keep_their_colours_where_there_are_any(
    run: RunDirectory, depth: Depth, coloured: bool
) -> None:
    app = TuiVae(run.path.parent, run)
    with InColour(run, "serve"):
        async with app.run_test(size=(120, 36)) as pilot:
            app.renderer = ImageRenderer(depth)
            grid = await grid_of(app, pilot)
            lines = grid.renderer.image(grid.pairs[0].original or grid.pairs[0].reconstruction, 2)
            inks = {segment.style.color.triplet for line in lines for segment in line
                    if segment.style and segment.style.color}  # fmt: skip
            assert any(ink and ink.red > ink.green + 40 for ink in inks) == coloured
            await pilot.press("p")
            await pilot.pause()
            assert any("keep their colours" in note.message for note in app._notifications) == coloured
