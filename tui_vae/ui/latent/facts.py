"""What Latent's line above its views says, put together from the pane."""

from __future__ import annotations

from typing import Literal, Protocol

from tui_vae.ui.latent.keys import VIEWS, View
from tui_vae.ui.latent.plane import Plane
from tui_vae.ui.latent.status import LatentFacts
from tui_vae.ui.latent.views import Scatter
from tui_vae.ui.session import RunSession
from tui_vae.ui.status_item import Item
from tui_vae.ui.test_set import TestSet


class Choices(Protocol):
    """Of the pane what the line tells."""

    session: RunSession
    view: View
    plane: Plane | None
    label: int | None
    by_kl: bool
    ends: dict[str, int]
    source: Literal["fitted", "prior"]
    seed: int
    frozen: bool
    note: str
    weights: tuple[int, int] | None

    @property
    def live(self) -> bool: ...

    @property
    def test_set(self) -> TestSet: ...

    @property
    def scatter(self) -> Scatter: ...


def facts_of(pane: Choices) -> LatentFacts:
    """What the line says now."""
    weights = ""
    if pane.weights is not None:
        frozen = "frozen at " if pane.frozen and pane.session.alive else ""
        weights = f"{frozen}epoch {pane.weights[0]} · step {pane.weights[1]:,}"
    names = tuple(view.value for view in VIEWS)
    return LatentFacts(names, VIEWS.index(pane.view), _items(pane), weights, pane.live, pane.note)


def _items(pane: Choices) -> tuple[Item, ...]:
    """What is chosen in the view in front; where the line is short, the last ones are left out."""
    plane = pane.plane
    if plane is None:
        return ()
    order = Item("order", "by KL" if pane.by_kl else "by number", "o")
    match pane.view:
        case View.PLANE:
            label = "all" if pane.label is None else pane.test_set.name(pane.label)
            marks = [Item(letter, f"#{index}") for letter, index in sorted(pane.ends.items())]
            return Item("class", label, "c"), *marks, *_measured(pane, plane)
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
            return order, *_measured(pane, plane)


def _measured(pane: Choices, plane: Plane) -> tuple[Item, ...]:
    """Of which weights the plane and the KL are, if not of those that decoded the newest image: they may be older."""
    newest = pane.weights[1] if pane.weights else plane.step
    return () if plane.step == newest else (Item("measured at step", f"{plane.step:,}"),)
