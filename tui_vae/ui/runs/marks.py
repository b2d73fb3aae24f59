"""The marked runs, and the colour and marker of each."""

from __future__ import annotations

from pathlib import Path

from tui_vae.ui.charts.dashes import PATTERNS, Pattern
from tui_vae.ui.glyphs import Glyphs

MOST = 8
"""Runs that can be marked at once: four colours, each with two markers."""

SERIES_COLOURS = 4
_MARKERS, _PLAIN_MARKERS = "●■▲◆○□△◇", "ox+#@=%&"


def series_marker(slot: int, glyphs: Glyphs) -> str:
    """The marker of a series; no two marked runs share one."""
    return (_MARKERS if glyphs.braille else _PLAIN_MARKERS)[slot % MOST]


def series_role(slot: int) -> str:
    """The name of a series' colour in the style sheet."""
    return f"series-{slot % SERIES_COLOURS}"


def series_dashes(slot: int) -> Pattern:
    """The dashes of a series' line, which take the place of its colour where there are none."""
    return PATTERNS[slot % len(PATTERNS)]


class Marks:
    """Marked runs, in the order of marking. Each has a slot, which gives its colour and marker, and which it keeps."""

    def __init__(self) -> None:
        self.marked: list[Path] = []
        self._slots: dict[Path, int] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self.marked

    def toggle(self, path: Path) -> bool:
        """Mark a run or take its mark away, and return whether that was possible: not where `MOST` are marked."""
        if path in self.marked:
            self.marked.remove(path)
            return True
        if len(self.marked) == MOST:
            return False
        taken = {self._slots[each] for each in self.marked}
        if self._slots.get(path) in taken or path not in self._slots:
            remembered = set(self._slots.values())
            free = [slot for slot in range(MOST) if slot not in taken]
            self._slots[path] = next((slot for slot in free if slot not in remembered), free[0])
        self.marked.append(path)
        return True

    def slot(self, path: Path) -> int:
        """The slot of a run; the first one for a run that was never marked."""
        return self._slots.get(path, 0)

    def clear(self) -> None:
        """Take all marks away. Each run keeps its slot for the next time."""
        self.marked.clear()

    def renamed(self, old: Path, new: Path) -> None:
        """Note that a run has another path: it keeps mark and slot."""
        self.marked = [new if path == old else path for path in self.marked]
        if old in self._slots:
            self._slots[new] = self._slots.pop(old)

    def forget(self, path: Path) -> None:
        """Take away the mark of a run that is gone, and its slot."""
        self.marked = [each for each in self.marked if each != path]
        self._slots.pop(path, None)
