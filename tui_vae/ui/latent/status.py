"""What the line above Latent's views says of the settings of the one in front."""

from __future__ import annotations

from tui_vae.ui.latent.choices import Choices
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.plane import Plane, Point
from tui_vae.ui.model_status import Item
from tui_vae.ui.test_set import TestSet


def items_of(
    view: View, plane: Plane, choices: Choices, cursor: Point, test_set: TestSet, newest_step: int
) -> tuple[Item, ...]:
    """The settings of a view, the most important one first; `newest_step`: of the weights of the newest image."""
    order = Item("order", "by KL" if choices.by_kl else "by number", "o")
    # The weights that made the plane and the KL may be older than those of the newest image.
    measured = () if plane.step == newest_step else (Item("measured at step", f"{plane.step:,}"),)
    match view:
        case View.PLANE:
            label = "all" if choices.label is None else test_set.name(choices.label)
            marks = [Item(letter, f"#{index}") for letter, index in sorted(choices.ends.items())]
            classes = (Item("class", label, "c"),) if test_set.has_classes else ()
            return *classes, *marks, *measured
        case View.TRAVERSE:
            return order, Item("the other dimensions", "at the mean" if cursor == plane.home else "at the cursor")
        case View.INTERPOLATE:
            first, last = plane.ends(choices.ends)
            return Item("a", f"#{first}", "↑ ↓"), Item("b", f"#{last}", "← →")
        case View.SAMPLES:
            name = "the fitted Gaussian" if choices.source == "fitted" else "the prior N(0, I)"
            return Item("from", name, "g"), Item("draw", f"{choices.seed}", "d")
        case View.KL:
            return order, *measured
