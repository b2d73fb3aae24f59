"""What happened to the runs since the user was last here: which have finished, failed, or been warned of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui_vae.runs.summary import RunSummary
from tui_vae.ui import run_progress
from tui_vae.ui.glyphs import glyphs

ENDED = {"finished", "failed", "crashed"}
"""States that are news by themselves; a run that was stopped was stopped by somebody."""


@dataclass(frozen=True)
class News:
    """One run's, in a few words."""

    role: str
    """The state's, or `warning`."""
    glyph: str
    name: str
    what: str

    @property
    def width(self) -> int:
        """Cells of all of it."""
        return len(f"{self.glyph} {self.name} {self.what}")


def news_of(summaries: Iterable[RunSummary], seconds: float) -> list[News]:
    """What is new in the last `seconds`, the newest first, with what went wrong before what went well."""
    found = []
    for each in sorted(summaries, key=lambda summary: summary.age):
        role = run_progress.state_role(each.state, each.health)
        if each.age > seconds or (each.state not in ENDED and not each.health):
            continue
        words = ", ".join(each.health)
        if each.state not in ENDED:
            found.append(News("warning", "!", each.name, words))
        elif each.state == "finished" and not words:
            figure = "" if each.elbo_bpd is None else f" at {each.elbo_bpd:.3f} bits/px"
            found.append(News(role, glyphs().states["finished"], each.name, f"finished{figure}"))
        else:
            said = f"{each.state}, {words}" if words else each.state
            found.append(News(role, "!" if role == "warning" else glyphs().states[each.state], each.name, said))
    return sorted(found, key=lambda each: each.role == "finished")
