"""What the user is told of an action that takes a while."""

from __future__ import annotations

from collections.abc import Awaitable

from textual.widget import Widget

from tui_vae.errors import UserError


async def notify_outcome(node: Widget, action: Awaitable[str]) -> None:
    """Wait for an action, and notify the user of the sentence that it returns, or of its error."""
    try:
        node.notify(await action, timeout=4, markup=False)
    except (UserError, OSError) as error:
        node.notify(str(error), severity="warning", markup=False)
