"""Python's garbage collector, kept out of the way of the first paint and of keys.

Written for CPython 3.11 and Textual 8.2. Without it the collector runs while modules are imported, which takes a tenth
of the time to the first paint and finds nothing; and later in the middle of a key, where a whole collection takes
20 ms or more. It has much to do, as Textual's lines of text refer to themselves.

To see whether it is still needed: leave out the calls and compare the rows "first paint" and "key" of
`scripts/bench_ui.py`.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

FIRST_SECONDS, LAST_SECONDS = 0.5, 4.0
"""Seconds after the first paint at which everything that exists is set aside: the screen is there, then its pane."""

THRESHOLDS = (700, 10, 100)
"""Python's own thresholds but for the last: a whole collection comes by itself ten times more seldom than usual."""

SWEEP_SECONDS = 1.0
"""Seconds between checks whether a whole collection is due."""

MIDDLE_COLLECTIONS = 4
"""A whole collection is due after more collections of the middle generation than this."""


def pause() -> None:
    """Collect nothing while modules are imported: what is imported stays."""
    gc.disable()


def resume_between_keys(app: App[Any]) -> None:
    """Collect again soon, but between keys and not in the middle of one. Nothing where `pause` was not called."""
    if not gc.isenabled():
        app.set_timer(FIRST_SECONDS, _resume)
        app.set_timer(LAST_SECONDS, _set_aside)
        app.set_interval(SWEEP_SECONDS, _sweep)


def _resume() -> None:
    _set_aside()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


def _set_aside() -> None:
    """Take what exists now out of all later collections."""
    if gc.isenabled():
        gc.collect()
    gc.freeze()


def _sweep() -> None:
    if gc.isenabled() and gc.get_count()[2] > MIDDLE_COLLECTIONS:
        gc.collect()
