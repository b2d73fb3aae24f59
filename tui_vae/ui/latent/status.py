"""What the line above Latent's views says of the settings of the one in front."""

from __future__ import annotations

from tui_vae.ui.latent.choices import Choices
from tui_vae.ui.latent.keys import View
from tui_vae.ui.latent.plane import Plane, Point
from tui_vae.ui.model_status import Item
from tui_vae.ui.test_set import TestSet


def items_of(
    view: View, plane: Plane, choices: Choices, cursor: Point, test_set: TestSet, newest_step: int, face: str
) -> tuple[Item, ...]:
    """The settings of a view, the most important one first. `newest_step`: of the weights of the newest image; `face`:
    that of the view of the KL."""
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
            return order, Item("the other dimensions", _base(plane, choices, cursor))
        case View.GRID:
            across = "direction 1" if choices.across is None else f"z {choices.across}"
            up = "direction 2" if choices.up is None else f"z {choices.up}"
            axes = Item("over", f"{across} × {up}", "← → ↑ ↓"), Item("at", "the prior's quantiles")
            return *axes, Item("the others", _base(plane, choices, cursor)), order
        case View.INTERPOLATE:
            first, last = plane.ends(choices.ends)
            path = Item("path", "on a sphere" if choices.sphere else "straight", "y", stays=True)
            return Item("a", f"#{first}", "↑ ↓"), Item("b", f"#{last}", "← →", stays=True), path
        case View.SAMPLES | View.NEAREST:
            name = "the fitted Gaussian" if choices.source == "fitted" else "the prior N(0, I)"
            if choices.sample_label is not None:  # in one item, which stays however short the line is
                name = f"the Gaussian of {test_set.name(choices.sample_label)}"
            classes = (Item("class", "all", "c"),) if choices.sample_label is None else ()
            draw = Item("draw", f"{choices.seed}", "f8")
            return Item("from", name, "S"), *(classes if test_set.has_classes else ()), draw
        case View.KL:
            return Item("as", face, "y"), order, *measured


def _base(plane: Plane, choices: Choices, cursor: Point) -> str:
    """Where the dimensions stay that do not change."""
    if choices.image is not None:
        return f"of image #{choices.image}"
    return "at the mean" if cursor == plane.home else "at the cursor"
