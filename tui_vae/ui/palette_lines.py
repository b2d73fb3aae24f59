"""The commands of the palette, one line each: its group, what it does, and at the right its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hit, Hits
from textual.content import Content
from textual.system_commands import SystemCommandsProvider

WIDTH = 84
"""Cells of the palette, where the screen has them; `app.tcss` says the same."""

MARGIN = 6
"""Cells of the palette beside a line: its padding, and the scrollbar."""

GROUP = 10
"""Cells of the column of groups, a gap among them."""

LEAST_TITLE = 16
"""Cells of what a command does, at least; the group is left out before it gets less."""

_SEPARATOR = "\t"


def offered(group: str, title: str, keys: str, act: Callable[[], Any]) -> SystemCommand:
    """A command for the palette; `keys` as users see them, or another word that stands in their place."""
    return SystemCommand(title, f"{group}{_SEPARATOR}{keys}", act)


class PaletteLines(SystemCommandsProvider):
    """Offers the app's commands in the app's order, by groups."""

    async def discover(self) -> Hits:
        before = ""
        for title, told, act, *_ in self.app.get_system_commands(self.screen):
            group, keys = _parts(told)
            yield DiscoveryHit(self._line(group if group != before else "", Content(title), keys), act, title)
            before = group

    async def search(self, query: str) -> Hits:
        async for hit in super().search(query):
            if isinstance(hit, Hit):
                group, keys = _parts(hit.help or "")
                shown = Content(hit.text or "") if not isinstance(hit.match_display, Content) else hit.match_display
                yield Hit(hit.score, self._line(group, shown, keys), hit.command, shown.plain)

    def _line(self, group: str, title: Content, keys: str) -> Content:
        width = min(WIDTH, self.app.size.width) - MARGIN
        left = GROUP if width - GROUP - len(keys) - 2 >= LEAST_TITLE else 0
        room = max(1, width - left - (len(keys) + 2 if keys else 0))
        title = (
            title.truncate(room, ellipsis=True)
            if title.cell_length > room
            else title.pad_right(room - title.cell_length)
        )
        return Content.assemble((group[: left - 1].ljust(left), "$label"), title, ("  " * bool(keys) + keys, "$accent"))


def _parts(told: str) -> tuple[str, str]:
    group, _, keys = told.rpartition(_SEPARATOR)
    return group, keys
