"""The first screen without a run: one key starts a preset, another opens a run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_vae.config import make_config, options
from tui_vae.errors import UserError
from tui_vae.runs.data_found import offered
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.summary import RunSummary, summarize_all
from tui_vae.ui import numbers, run_progress
from tui_vae.ui.glyphs import glyphs, shortened
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.list_keys import LIST_KEYS
from tui_vae.ui.messages import OpenRun, RunMayStart, SawNews, StartRun
from tui_vae.ui.start.detail_view import TALL, DetailView
from tui_vae.ui.start.head import Head
from tui_vae.ui.start.news import news_of
from tui_vae.ui.terminal import legible

if TYPE_CHECKING:
    from tui_vae.ui.start.detail import Presets

TRAIN, DESCRIBE, DATA, RUN = "train:", "describe", "data:", "run:"
"""Beginnings of the ids of options."""

REST_SECONDS = 0.15
"""Seconds that the cursor rests on a run before its images are sent."""

LEAST_LIST, MOST_LIST, LIST_SHARE = 45, 84, 0.38
"""Cells of the list, at least and at most, and the share of the screen's width that it has if the rest is whole
images."""

LEAST_DETAIL = 31
"""Cells of two small images with one between them, and of a margin; on narrower screens the list stands alone."""

BESIDE_FROM = LEAST_LIST + LEAST_DETAIL + 3
"""Cells of the screen's width from which the pictures stand beside the list; the margins are three of them."""

IMAGE = 15
"""Cells of a small image and of the one behind it."""

EPOCHS_WIDTH, TAKES_WIDTH = 11, 10
"""Cells of a preset's epochs, and of how long they take: with names of 16 they fit into the narrowest list."""

STATE_COLOURS = {
    "training": "success",
    "paused": "warning",
    "finished": "success",
    "failed": "error",
    "crashed": "error",
    "unreadable": "error",
}
"""The theme's colour of a state; states that are not named here have the colour `note`."""

FIGURES = {"epochs": 9, "test loss": 10, "mse": 9, "bits/px": 8}
"""Columns of a run's figures, and their widths in cells."""

DROPPED_FOR_NAMES = ("test loss", "mse", "epochs")
"""Columns that are left out where names are long, the first one first."""

STATE_WIDTH, AGE_WIDTH = 11, 9
"""Cells of the columns for a state with its glyph ("✗ unreadable" is cut) and for an age ("59 min")."""


def detail_width(width: int) -> int:
    """Cells for the pictures on a screen of this width, without the margin: whole columns of images."""
    room = width - min(MOST_LIST, max(LEAST_LIST, round(width * LIST_SHARE))) - 3
    return max(LEAST_DETAIL, room // IMAGE * IMAGE + 1)


@dataclass(frozen=True)
class Row:
    """A run, or the heading above all runs, in one line of columns; it shows those that there is room for."""

    name: tuple[str, str]
    """Text and style, as in `state` and `age`."""
    name_width: int
    state: tuple[str, str]
    figures: Mapping[str, str]
    figures_style: str
    age: tuple[str, str]
    reason: str = ""
    """Why a run failed or cannot be read, which stands in place of its figures."""
    word: str = ""
    """The same in a word or two, where there is one."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(FIGURES)
        for column in DROPPED_FOR_NAMES:
            if self._room(options, shown) >= self.name_width:
                break
            shown.remove(column)
        room = max(1, min(self.name_width, self._room(options, shown)))
        text, style = self.name
        name = shortened(text, room)
        if self.reason:
            state, cells = f"{self.state[0]} ".ljust(STATE_WIDTH), sum(FIGURES[column] for column in shown)
            cells += STATE_WIDTH - len(state)
            reason = run_progress.brief(legible(self.reason), cells, self.word).ljust(cells)
            columns = (f"{name:<{room}}  ", style), (state, self.state[1]), (reason, self.age[1])
            yield Text.assemble(*columns, (f"{self.age[0]:>{AGE_WIDTH}}", self.age[1]), no_wrap=True, overflow="crop")
            return
        figures = "".join(f"{self.figures[column]:>{FIGURES[column]}}" for column in shown)
        yield Text.assemble(
            (f"{name:<{room}}  ", style),
            (f"{self.state[0]:<{STATE_WIDTH}}", self.state[1]),
            (glyphs().plain(figures), self.figures_style),
            (f"{self.age[0]:>{AGE_WIDTH}}", self.age[1]),
            no_wrap=True,
            overflow="crop",
        )

    @staticmethod
    def _room(options: ConsoleOptions, shown: Sequence[str]) -> int:
        """Cells for the name beside these figures."""
        return options.max_width - 2 - STATE_WIDTH - AGE_WIDTH - sum(FIGURES[column] for column in shown)


def run_row(summary: RunSummary, name_width: int, colours: Mapping[str, str]) -> Row:
    """The row of a run: its name in `name_width` cells, its state, figures and age, in these colours."""
    glyph = glyphs().states.get(summary.state, " ")
    figures = {
        "epochs": f"{summary.epochs}/{summary.planned}" if summary.planned else glyphs().dash,
        "test loss": numbers.metric(summary.test_loss, FIGURES["test loss"]),
        "mse": numbers.metric(summary.mse, FIGURES["mse"]),
        "bits/px": glyphs().dash if summary.elbo_bpd is None else f"{summary.elbo_bpd:.3f}",
    }
    state = f"{glyph} {summary.state}", colours[STATE_COLOURS.get(summary.state, "note")]
    if run_progress.state_role(summary.state, summary.health) == "warning":
        state = run_progress.outcome(summary.health), colours["warning"]
    age = numbers.age(summary.age), colours["note"]
    return Row(
        (summary.name, colours["emphasis"]),
        name_width,
        state,
        figures,
        colours["foreground"],
        age,
        summary.reason,
        ", ".join(summary.health),
    )


def heading(name_width: int, colours: Mapping[str, str]) -> Row:
    """The row with the columns' titles."""
    label = colours["label"]
    return Row(("run", label), name_width, ("state", label), {name: name for name in FIGURES}, label, ("age", label))


@dataclass(frozen=True)
class PresetRow:
    """A preset in one line: its epochs, and how long they take here, where that is known and there is room."""

    name: str
    name_width: int
    seconds: float | None
    colours: Mapping[str, str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        note = self.colours["note"]
        epochs = f"{make_config({'preset': self.name}).epochs} epochs"
        takes = "" if self.seconds is None else legible(f"≈ {numbers.duration(self.seconds, 0)}")
        found = Text.assemble(
            ("train ", self.colours["foreground"]),
            (f"{self.name:<{self.name_width}}", self.colours["emphasis"]),
            no_wrap=True,
            overflow="crop",
        )
        for text, width in ((epochs, EPOCHS_WIDTH), (takes, TAKES_WIDTH)):
            if found.cell_len + width <= options.max_width:
                found.append(f"{text:>{width}}", note)
        yield found


class RunList(OptionList):
    """The presets and the form of a new run, and below them the runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "open", id="start.open", tooltip="Start or open what is selected"),
        *LIST_KEYS,
    ]  # fmt: skip


class StartScreen(Screen[None]):
    """Lists the presets, for newcomers, and below them the runs, the newest first; beside the list what there is to
    tell about the entry under the cursor, above it what is new since last time."""

    CSS_PATH = "start_screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (BESIDE_FROM, "-beside")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-fair"), (TALL, "-tall")]  # noqa: RUF012
    TITLE = "Start"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "app.new_run", "new run", id="start.new", tooltip="Describe and start a new run"),
    ]

    def __init__(self, runs_dir: Path, last_seen: float = 0.0) -> None:
        """`last_seen`: when the user last saw this screen, in seconds since the epoch; 0: never, as far as is known."""
        super().__init__()
        self.runs_dir = runs_dir
        self._last_seen = last_seen
        self._runs: dict[str, RunDirectory] = {}
        self._summaries: dict[str, RunSummary] = {}
        self._presets: Presets | None = None
        """None until it is known what the runs tell of the presets."""

    def compose(self) -> ComposeResult:
        with Vertical(id="start"):
            yield Head(id="start-head")
            with Horizontal(id="start-body"):
                yield RunList(*self._options(), id="start-list", compact=True)
                yield DetailView(id="start-detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self._share_width(self.app.size.width)
        options = self.query_one(RunList)
        options.highlighted = 0
        options.focus()
        self._list_runs()
        self.call_after_refresh(self.post_message, RunMayStart(here=True))

    def on_unmount(self) -> None:
        self.app.post_message(RunMayStart(here=False))

    def on_resize(self, event: Resize) -> None:
        self._share_width(event.size.width)

    def _share_width(self, width: int) -> None:
        """Give the pictures whole columns of images, and the list the rest."""
        self.query_one(DetailView).styles.width = detail_width(width)

    def _options(self) -> list[Option]:
        colours = self.app.theme_variables
        presets = options()["preset"].choices
        width = max(map(len, presets))
        describe = Text.assemble(("describe a run ", colours["foreground"]), (legible("…"), colours["note"]))
        return [
            *(Option(PresetRow(preset, width, None, colours), id=f"{TRAIN}{preset}") for preset in presets),
            Option(describe, id=DESCRIBE),
        ]

    @work(exclusive=True)
    async def _list_runs(self) -> None:
        runs = await asyncio.to_thread(list_runs, self.runs_dir)
        summaries = await asyncio.to_thread(summarize_all, runs)
        self._summaries = {summary.name: summary for summary in summaries}
        self._offer(await asyncio.to_thread(offered, runs))
        if summaries:
            self._show_runs(runs, summaries)
        self._tell_news(summaries)
        from tui_vae.ui.start.detail import Presets

        known = [run for run in runs if run.name in self._summaries]
        self._presets = await asyncio.to_thread(Presets.read, self.runs_dir, known)
        self._tell_times()
        self._show_detail()

    def _tell_news(self, summaries: Sequence[RunSummary]) -> None:
        if self._last_seen:
            seconds = max(0.0, time.time() - self._last_seen)
            self.query_one(Head).show(news_of(summaries, seconds), seconds)
        self.post_message(SawNews())

    def _tell_times(self) -> None:
        """Add to each preset how long it takes here."""
        assert self._presets is not None
        presets, listed = options()["preset"].choices, self.query_one(RunList)
        width = max(map(len, presets))
        for preset in presets:
            if (found := self._presets.seconds(preset)) is not None:
                line = PresetRow(preset, width, found[0], self.app.theme_variables)
                listed.replace_option_prompt(f"{TRAIN}{preset}", line)

    def _offer(self, data: Sequence[str]) -> None:
        """Offer data that are on this machine: one of them opens the form of a new run."""
        colours = self.app.theme_variables
        self.query_one(RunList).add_options(
            Option(
                Text.assemble(
                    ("train on ", colours["foreground"]), (legible(os.path.basename(each)), colours["emphasis"]),
                    (legible(f"  {os.path.dirname(each)} …"), colours["note"]), no_wrap=True, overflow="ellipsis",
                ),
                id=f"{DATA}{each}",
            )
            for each in data
        )  # fmt: skip

    def _show_runs(self, runs: Sequence[RunDirectory], summaries: Sequence[RunSummary]) -> None:
        self._runs = {run.name: run for run in runs}
        colours = self.app.theme_variables
        width = max(len(run.name) for run in runs)
        lines = [Option(run_row(summary, width, colours), id=f"{RUN}{summary.name}") for summary in summaries]
        listed = self.query_one(RunList)
        listed.add_options([Option("", disabled=True), Option(heading(width, colours), disabled=True), *lines])

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show_detail()

    @work(exclusive=True, group="detail")
    async def _show_detail(self) -> None:
        """Tell about the entry under the cursor, once it rests there."""
        listed, view = self.query_one(RunList), self.query_one(DetailView)
        at = listed.highlighted
        chosen = (listed.get_option_at_index(at).id or "") if at is not None else ""
        if not view.display or not self._summaries.keys() <= self._runs.keys():
            return
        await asyncio.sleep(REST_SECONDS if view.detail.title else 0)
        from tui_vae.ui.start import detail

        name = chosen.removeprefix(RUN)
        if chosen.startswith(TRAIN) and self._presets is not None:
            preset, known = chosen.removeprefix(TRAIN), tuple(self._summaries.values())
            view.show(await asyncio.to_thread(self._presets.detail, preset, known))
        elif chosen.startswith(RUN) and name in self._summaries:
            view.show(await asyncio.to_thread(detail.of_run, self._runs[name], self._summaries[name]))
        elif chosen.startswith(DATA):
            view.show(detail.of_data(chosen.removeprefix(DATA)))
        elif chosen == DESCRIBE:
            view.show(detail.OF_FORM)

    def _describe(self, data: str) -> None:
        """Open the form of a new run on these data."""
        from tui_vae.ui.new_run.screen import NewRun

        def start(wanted: StartRun | None) -> None:
            if wanted is not None:
                self.post_message(wanted)

        try:
            like = make_config({"dataset": data})
        except UserError as error:  # it has gone since it was offered
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.app.push_screen(NewRun(self.runs_dir, like), start)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        chosen = event.option_id or ""
        if chosen == DESCRIBE:
            self.app.run_worker(self.app.run_action("new_run"))
        elif chosen.startswith(TRAIN):
            self.post_message(StartRun(make_config({"preset": chosen.removeprefix(TRAIN)})))
        elif chosen.startswith(DATA):
            self._describe(chosen.removeprefix(DATA))
        else:
            self.post_message(OpenRun(self._runs[chosen.removeprefix(RUN)]))
