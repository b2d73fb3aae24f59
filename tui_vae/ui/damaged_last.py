"""What `r` asks where a run's last checkpoint is damaged: whether to go on from the newest whole one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.widget import Widget

from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.go_back import go_back, offer_instead_of_last
from tui_vae.ui.dialogs import Confirm


async def ask_where_last_is_damaged(node: Widget, run: RunDirectory, go_on: Callable[[int | None], None]) -> None:
    """Call `go_on` with None, or where the last checkpoint is damaged with the epoch that the user agrees to."""
    offer = await asyncio.to_thread(offer_instead_of_last, run)
    if offer is None:
        go_on(None)
        return
    words = f"{offer.wrong}.\n\nGo on from {offer.instead}?\nWhat the run is now is kept as a run of its own."
    epoch = offer.epoch
    node.app.push_screen(
        Confirm(f"The last checkpoint of {run.name} is damaged.", words, f"go on from epoch {epoch}"),
        lambda yes: go_on(epoch) if yes else None,
    )


def went_back(run: RunDirectory, epoch: int, more_epochs: int) -> str:
    """Go back to a kept epoch, and say what has become of the run as it was; begins with a blank.

    Raises:
        UserError: it cannot be done.
    """
    former = go_back(run, epoch, more_epochs)
    return f" What it was until now is run {former.name}." if former else ""
