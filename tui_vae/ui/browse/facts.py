"""What Browse's line above the images says, put together from the pane."""

from __future__ import annotations

from typing import Protocol

from tui_vae.ui.browse.keys import View
from tui_vae.ui.browse.status import BrowseFacts
from tui_vae.ui.browse.views import PairGrid
from tui_vae.ui.film import Film
from tui_vae.ui.images.canvas import FULL
from tui_vae.ui.session import RunSession
from tui_vae.ui.status_item import Item
from tui_vae.ui.test_set import ImageErrors, Order, Pager, TestSet


class Browsing(Protocol):
    """Of the pane what the line tells."""

    session: RunSession
    view: View
    pager: Pager
    test_set: TestSet | None
    errors: ImageErrors | None
    label: int | None
    order: Order
    frozen: bool
    note: str
    weights: tuple[int, int] | None

    @property
    def film(self) -> Film: ...

    @property
    def grid(self) -> PairGrid: ...

    @property
    def live(self) -> bool: ...


def facts_of(pane: Browsing) -> BrowseFacts:
    """What the line says now."""
    film = pane.film
    if pane.view is View.FILM:
        frames = f"{film.position + 1}/{len(film.frames)}"
        playing = "playing" if film.playing else "halted"
        return BrowseFacts((Item("time-lapse", playing, "t"), Item("frame", frames, "← →")), f"epoch {film.epoch}")
    if pane.weights is None:
        saved = f"saved previews of epoch {film.epoch}; " if film.frames else ""
        return BrowseFacts((), note=saved + pane.note if pane.note else "")
    if pane.view is View.CLASSES:
        return BrowseFacts((Item("classes", "worst first", "w"), *_age(pane)), note=pane.note)
    label = "all" if pane.label is None or pane.test_set is None else pane.test_set.name(pane.label)
    pager, (epoch, step) = pane.pager, pane.weights
    place = (
        Item("image", f"{pager.place + 1:,}/{len(pager.order):,}", "← →")
        if pane.view is View.IMAGE
        else Item("page", f"{pager.page + 1:,}/{pager.pages:,}")
    )
    age = _age(pane) if pane.order is Order.WORST else ()
    items = [Item("class", label, "c"), Item("order", pane.order.value, "o"), *age, place]
    if pane.view is View.PAGE:
        items += [
            Item("images", f"{len(pager.order):,}"),
            Item("size", "full" if pane.grid.grid.scale == FULL else "half", "z"),
            Item("beside", "difference" if pane.grid.differences else "reconstruction", "d"),
        ]
    frozen = "frozen at " if pane.frozen and pane.session.alive else ""
    return BrowseFacts(tuple(items), f"{frozen}epoch {epoch} · step {step:,}", pane.live, pane.note)


def _age(pane: Browsing) -> tuple[Item, ...]:
    """How old the errors are."""
    if pane.errors is None:
        return ()
    behind = max(pane.session.history.step, pane.weights[1] if pane.weights else 0) - pane.errors.step
    return (Item("measured", f"{behind:,} steps ago" if behind > 0 else "now", "u"),)
