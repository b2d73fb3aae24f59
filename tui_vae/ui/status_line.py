"""The top line: which run, what it does, how far it is, how fast, on what, and when it was last saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_vae.runs.hardware import NOTHING, Load, Sampler
from tui_vae.runs.history import History
from tui_vae.ui import numbers, progress, strips
from tui_vae.ui.glyphs import Glyphs, glyphs
from tui_vae.ui.session import RunSession

LOAD_SECONDS = 2.0
"""Between two looks at the device."""

GAP = 3
QUIET_SECONDS = 0.4
"""Between two redraws: a line is sent whole, whatever changed in it."""

SHORTEST_BAR, LONGEST_BAR = 8, 60
STATES = ("loading", "training", "paused", "stopped", "finished", "failed", "crashed")


@dataclass(frozen=True)
class Part:
    """A piece of the line; the higher its rank, the earlier it gives way to the others."""

    rank: int
    words: tuple[tuple[str, str], ...]
    """Texts and their roles."""

    @property
    def width(self) -> int:
        return sum(len(text) for text, _ in self.words)


def parts(history: History, name: str, state: str, now: float, signs: Glyphs, load: Load = NOTHING) -> list[Part]:
    """Everything that may stand in the line, from the left; the bar is made later, from the room that is left."""
    planned = history.run.epochs if history.run else 0
    digits = len(str(planned))
    running = state in ("loading", "training", "paused")
    found = [
        Part(9, (("tui-vae", "label"),)),
        Part(1, ((name, "name"),)),
        Part(0, ((f"{signs.states.get(state, ' ')} {state}".ljust(10 if running else 0), state),)),
    ]
    if planned:
        epoch = (("epoch ", "label"), (f"{progress.epoch_now(history):>{digits}}", "number"), (f"/{planned}", "label"))
        found.append(Part(2, epoch))
        found.append(Part(3, (("", "bar"), (f" {progress.share_done(history):4.0%}", "label"))))
    if running and planned:
        rate = numbers.short(progress.speed(history) if state == "training" else None)
        left = numbers.duration(progress.seconds_left(history), 0).ljust(7)
        found.append(Part(5, ((rate, "number"), (" img/s", "label"))))
        found.append(Part(4, (("ETA ", "label"), (left, "number"))))
        found.append(Part(10, (("step ", "label"), (f"{history.step:>{len(f'{history.total_steps:,}')},}", "number"))))
    found.append(Part(8, ((progress.device(history), "label"),)))
    found.append(Part(6, ((_load(load), "note"),)))
    age = progress.checkpoint_age(history, now)
    if age is not None:
        found.append(Part(7, (("saved ", "label"), (numbers.ago(age, 0).ljust(5), "note"))))
    return [part for part in found if any(text for text, _ in part.words) or part.rank == 3]


def _load(load: Load) -> str:
    """` 38% 1.2 GiB 41°C`, as much of it as is known."""
    words = [f"{load.percent:3.0f}%"] if load.percent is not None else []
    words += [numbers.memory(load.memory)] if load.memory is not None else []
    words += [f"{load.temperature:.0f}°C"] if load.temperature is not None else []
    return " ".join(words)


def line(found: Iterable[Part], width: int, share: float, signs: Glyphs) -> list[tuple[str, str]]:
    """The parts that fit into the width, with gaps between them and the bar as long as there is room."""
    kept = list(found)
    while kept and _needed(kept) > width:
        kept.remove(max(kept, key=lambda part: part.rank))
    room = width - _needed(kept) + SHORTEST_BAR
    words: list[tuple[str, str]] = []
    for number, part in enumerate(kept):
        after_epoch = part.rank == 3 and number
        words.append((" " * (1 if after_epoch or not number else GAP), "label"))
        for text, role in part.words:
            words += _bar(min(room, LONGEST_BAR), share, signs) if role == "bar" else [(signs.plain(text), role)]
    return words


def _needed(kept: list[Part]) -> int:
    bar = any(part.rank == 3 for part in kept)
    gaps = GAP * (len(kept) - 1) - (GAP - 1 if bar else 0)
    return sum(part.width for part in kept) + gaps + (SHORTEST_BAR if bar else 0) + 2


def _bar(length: int, share: float, signs: Glyphs) -> list[tuple[str, str]]:
    halves = round(share * length * 2)
    full, half = divmod(halves, 2)
    done, tip, rest = signs.bar
    return [(done * full + tip * half, "done"), (rest * (length - full - half), "rest")]


class StatusLine(Widget):
    """Redrawn when the history changes, and every second while a process lives."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("status--label", "status--note", "status--number", "status--name", "status--done", "status--rest"),
        *(f"status--{state}" for state in STATES),
    }

    def __init__(self, session: RunSession) -> None:
        super().__init__()
        self.session = session
        self._load = NOTHING
        self._sampler: Sampler | None = None
        self._shown: tuple[str, History | None] = "", None
        self._drawn_at = 0.0
        self._strip = Strip([])
        self._styles: dict[str, Style] = {}

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)
        self.set_interval(LOAD_SECONDS, self._look_at_device)

    def _tick(self) -> None:
        if self.session.alive:
            self.refresh_history()

    def _look_at_device(self) -> None:
        if self.session.alive and self.screen.is_current:
            self.run_worker(self._sample(), group="load", exclusive=True)
        elif self._load != NOTHING and not self.session.alive:
            self._load, self._sampler = NOTHING, None
            self.refresh_history()

    async def _sample(self) -> None:
        run, holder = self.session.history.run, self.session.holder
        if run is None or holder is None:
            return
        if self._sampler is None or (self._sampler.device, self._sampler.pid) != (run.device, holder.pid):
            self._sampler = Sampler(run.device, holder.pid)
        self._load = await asyncio.to_thread(self._sampler.sample)

    def refresh_history(self) -> None:
        """Take over what changed."""
        history, name, state = self.session.history, self.session.name, self.session.state
        now = time.monotonic()
        # The history is another one where the whole of a long log has been read, after its ends.
        if self._shown[0] == state and self._shown[1] is history and now - self._drawn_at < QUIET_SECONDS:
            return
        self._shown, self._drawn_at = (state, history), now
        found = parts(history, name, state, time.time(), glyphs(), self._load)
        words = line(found, self.size.width, progress.share_done(history), glyphs())
        segments = [Segment(text, self._style(role)) for text, role in words if text]
        before, self._strip = self._strip, Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
        regions = strips.changed([before], [self._strip])
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        self._drawn_at = 0.0
        self.refresh_history()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        if self.is_attached:
            self._drawn_at = 0.0
            self.refresh_history()

    def render_line(self, y: int) -> Strip:
        return self._strip if y == 0 else Strip.blank(self.size.width, self.rich_style)

    def _style(self, role: str) -> Style:
        if role not in self._styles:
            self._styles[role] = self.get_component_rich_style(f"status--{role}")
        return self._styles[role]
