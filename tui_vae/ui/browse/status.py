"""What the line above Browse's views says."""

from __future__ import annotations

from tui_vae.ui.browse.keys import View
from tui_vae.ui.browse.pair_grid import PairGrid
from tui_vae.ui.browse.selection import Order, Selection
from tui_vae.ui.film import Film
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.renderer import FULL, SMALL
from tui_vae.ui.model_status import Item, StatusFacts

SIZES = {SMALL: "half", FULL: "full"}
"""What the user calls the scales of images; larger ones are `large`."""


def film_facts(film: Film) -> StatusFacts:
    """The time-lapse's state, its frame and the frame's epoch."""
    state = "playing" if film.playing else "halted"
    frames = f"{film.position + 1}/{len(film.frames)}"
    return StatusFacts(
        (Item("time-lapse", state, "t"), Item("frame", frames, "← →", stays=True)), f"epoch {film.epoch}"
    )


def class_items(selection: Selection, newest_step: int) -> tuple[Item, ...]:
    """The settings of the table of classes."""
    return (Item("classes", "worst first", "W"), *_age(selection, newest_step))


def image_items(view: View, selection: Selection, grid: PairGrid, newest_step: int) -> tuple[Item, ...]:
    """The settings of a page of pairs, or of one image large."""
    pager = selection.pager
    age = _age(selection, newest_step) if selection.order is Order.WORST else ()
    has_classes = selection.test_set is None or selection.test_set.has_classes
    which = (Item("class", selection.label_name, "c"),) if has_classes or selection.label is not None else ()
    order = Item("order", selection.order.value, "o", stays=True)
    if view is View.IMAGE:
        return (*which, order, *age, Item("image", f"{pager.place + 1:,}/{len(pager.order):,}", "← →"))
    difference = Item("difference", glyphs().plain(f"full at ±{grid.full} %"), "d", stays=True)
    return (
        *which,
        order,
        *((difference,) if grid.differences else ()),
        *age,
        Item("page", f"{pager.page + 1:,}/{pager.pages:,}"),
        Item("images", f"{len(pager.order):,}"),
        Item("size", SIZES.get(grid.grid.scale, "large"), "z"),
        *(() if grid.differences else (Item("beside", "reconstruction", "d"),)),
    )


def _age(selection: Selection, newest_step: int) -> tuple[Item, ...]:
    """How many steps older than the newest weights the errors are."""
    if selection.errors is None:
        return ()
    behind = newest_step - selection.errors.step
    return (Item("measured", f"{behind:,} steps ago" if behind > 0 else "now", "U"),)
