"""The top line: a run's name, state, progress, speed and device, and the age of its last checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual.strip import Strip

from tui_vae.runs.device_load import NOTHING, Load, Sampler
from tui_vae.runs.history import History
from tui_vae.ui import header_figure, numbers, run_progress
from tui_vae.ui.glyphs import Glyphs, glyphs
from tui_vae.ui.newest_worker import run_newest
from tui_vae.ui.session import RunSession
from tui_vae.ui.strip_widget import StripWidget

LOAD_SECONDS = 2.0
"""Seconds between two samples of the device's load."""

GAP = 3
"""Cells between two parts of the line."""

REDRAW_SECONDS = 0.4
"""Seconds between two redraws that only change figures: Textual sends a line whole, whatever has changed in it."""

SHORTEST_BAR, LONGEST_BAR = 8, 60
"""Cells of the epoch bar, which takes the room that is left."""

STATES = ("queued", "loading", "training", "paused", "stopped", "finished", "failed", "crashed")


@dataclass(frozen=True)
class Part:
    """A piece of the line. Where there is no room for all, those of the highest rank are left out first."""

    rank: int
    words: tuple[tuple[str, str], ...]
    """Texts and their roles."""

    @property
    def width(self) -> int:
        """Cells of its words."""
        return sum(len(text) for text, _ in self.words)


def parts(history: History, name: str, state: str, now: float, glyphs: Glyphs, load: Load = NOTHING) -> list[Part]:
    """Everything that may stand in the line, from the left. `line` makes the bar later, from the room that is left."""
    planned = history.run.epochs if history.run else 0
    digits = len(str(planned))
    running = state in ("loading", "training", "paused")
    words, shown = history.health(state), f"{glyphs.states.get(state, ' ')} {state}"
    found = [
        Part(9, (("tui-vae", "label"),)),
        Part(1, ((name, "name"),)),
        Part(0, ((shown.ljust(10 if running else 0), run_progress.state_role(state, words)),)),
    ]
    if words:
        found.append(Part(1, ((", ".join(words), "warning"),)))
    if planned:
        current = f"{run_progress.epoch_now(history, running):>{digits}}"
        epoch = (("epoch ", "label"), (current, "number"), (f"/{planned}", "label"))
        found.append(Part(2, epoch))
        found.append(Part(3, (("", "bar"), (f" {run_progress.share_done(history):4.0%}", "label"))))
    if running and planned:
        rate = numbers.short(run_progress.throughput(history) if state == "training" else None)
        left = numbers.duration(run_progress.seconds_left(history), 0).ljust(7)
        found.append(Part(5, ((rate, "number"), (" img/s", "label"))))
        found.append(Part(4, (("ETA ", "label"), (left, "number"))))
        found.append(Part(10, (("step ", "label"), (f"{history.step:>{len(f'{history.total_steps:,}')},}", "number"))))
    found.append(Part(8, ((run_progress.device(history), "label"),)))
    found.append(Part(6, ((_load(load, run_progress.first_of_several(history)), "note"),)))
    age = run_progress.checkpoint_age(history, now)
    if age is not None:
        found.append(Part(7, (("saved ", "label"), (numbers.ago(age, 0).ljust(5), "note"))))
    return [part for part in found if any(text for text, _ in part.words) or part.rank == 3]


def _load(load: Load, device: str) -> str:
    """` 38% 1.2 GiB 41°C`, as much of it as is known. `device`: of which alone it is, where the run has several."""
    words = [device] if device and load != NOTHING else []
    words += [f"{load.percent:3.0f}%"] if load.percent is not None else []
    words += [numbers.memory(load.memory)] if load.memory is not None else []
    words += [f"{load.temperature:.0f}°C"] if load.temperature is not None else []
    return " ".join(words)


def line(found: Iterable[Part], width: int, share: float, glyphs: Glyphs) -> list[tuple[str, str]]:
    """The parts that fit into the width, with gaps between them, and a bar that takes the room left."""
    kept = list(found)
    while kept and _needed(kept) > width:
        kept.remove(max(kept, key=lambda part: part.rank))
    room = width - _needed(kept) + SHORTEST_BAR
    words: list[tuple[str, str]] = []
    for number, part in enumerate(kept):
        after_epoch = part.rank == 3 and number
        words.append((" " * (1 if after_epoch or not number else GAP), "label"))
        for text, role in part.words:
            words += _bar(min(room, LONGEST_BAR), share, glyphs) if role == "bar" else [(glyphs.plain(text), role)]
    return words


def _needed(kept: list[Part]) -> int:
    bar = any(part.rank == 3 for part in kept)
    gaps = GAP * (len(kept) - 1) - (GAP - 1 if bar else 0)
    return sum(part.width for part in kept) + gaps + (SHORTEST_BAR if bar else 0) + 2


def _bar(length: int, share: float, glyphs: Glyphs) -> list[tuple[str, str]]:
    halves = round(share * length * 2)
    full, half = divmod(halves, 2)
    done, tip, rest = glyphs.bar
    return [(done * full + tip * half, "done"), (rest * (length - full - half), "rest")]


class StatusLine(StripWidget):
    """The line is redrawn when the history changes, and every second while a process lives."""

    PREFIX = "status"
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("status--label", "status--note", "status--number", "status--name", "status--done", "status--rest"),
        "status--figure",
        *(f"status--{state}" for state in (*STATES, "warning")),
    }

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session
        self._load = NOTHING
        self._sampler: Sampler | None = None
        self._shown: tuple[str, History | None] = "", None
        self._drawn_at = 0.0

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)
        self.set_interval(LOAD_SECONDS, self._look_at_device)

    def _tick(self) -> None:
        if self.session.alive:
            self.refresh_history()

    def _look_at_device(self) -> None:
        if self.session.alive and self.screen.is_current:
            run_newest(self, self._sample, "load")
        elif self._load != NOTHING and not self.session.alive:
            self._load, self._sampler = NOTHING, None
            self.refresh_history()

    async def _sample(self) -> None:
        run, holder = self.session.history.run, self.session.holder
        if run is None or holder is None:
            return
        wanted = run.device, holder.pid, run.config.get("devices", 1) != 1
        if self._sampler is None or (self._sampler.device, self._sampler.pid, self._sampler.several) != wanted:
            self._sampler = Sampler(*wanted)
        self._load = await asyncio.to_thread(self._sampler.sample)

    def refresh_history(self) -> None:
        """Draw what the history tells now, unless the line has just been drawn and only its figures have changed."""
        # The history is another one once the whole of a long log has been read, after its two ends.
        shown, now = (self.session.state, self.session.history), time.monotonic()
        unchanged = self._shown[0] == shown[0] and self._shown[1] is shown[1]
        if not unchanged or now - self._drawn_at >= REDRAW_SECONDS:
            self._shown, self._drawn_at = shown, now
            self.redraw()

    def draw(self) -> list[Strip]:
        history = self.session.history
        found = parts(history, self.session.name, self.session.state, time.time(), glyphs(), self._load)
        figure = header_figure.upper_half(history, self.size.width)
        room = self.size.width - len(figure)
        words = line(found, room, run_progress.share_done(history), glyphs())
        left = self.strip(part for part in words if part[0]).adjust_cell_length(room, self.rich_style)
        return [Strip.join([left, self.strip([(figure, "figure")])]) if figure else left]
