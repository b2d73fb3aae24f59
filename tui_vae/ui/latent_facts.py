"""What is chosen in Latent's view in front, for the line above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_vae.ui.browse_status import Item
from tui_vae.ui.latent_keys import View

if TYPE_CHECKING:
    from tui_vae.ui.latent_pane import LatentPane


def items_of(pane: LatentPane) -> tuple[Item, ...]:
    """The most important first: where the line is short, the last ones are left out."""
    plane = pane.plane
    if plane is None:
        return ()
    order = Item("order", "by KL" if pane.by_kl else "by number", "o")
    match pane.view:
        case View.PLANE:
            label = "all" if pane.label is None else pane.catalogue.name(pane.label)
            marks = [Item(letter, f"#{index}") for letter, index in sorted(pane.ends.items())]
            return Item("class", label, "c"), *marks
        case View.TRAVERSE:
            at_home = pane.scatter.cursor == plane.home
            return order, Item("the other dimensions", "at the mean" if at_home else "at the cursor")
        case View.INTERPOLATE:
            first, last = plane.ends(pane.ends)
            return Item("a", f"#{first}", "↑ ↓"), Item("b", f"#{last}", "← →")
        case View.SAMPLES:
            name = "the fitted Gaussian" if pane.source == "fitted" else "the prior N(0, I)"
            return Item("from", name, "g"), Item("draw", f"{pane.seed}", "d")
        case View.KL:
            return (order,)
