"""The first screen without a run: one key starts a preset, another opens a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_vae.config import RunConfig, make_config, options
from tui_vae.errors import UserError
from tui_vae.runs.data_found import offered
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.summary import RunSummary, summarize_all
from tui_vae.ui import numbers, run_progress
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.images.pairs import ImagePairs
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.messages import OpenRun, RunMayStart, StartRun
from tui_vae.ui.terminal import legible

TRAIN, DESCRIBE, DATA, RUN = "train:", "describe", "data:", "run:"
"""Beginnings of the ids of options."""

REST_SECONDS = 0.15
"""Seconds that the cursor rests on a run before its images are sent."""

STATE_COLOURS = {
    "training": "success",
    "paused": "warning",
    "finished": "success",
    "failed": "error",
    "crashed": "error",
    "unreadable": "error",
}
"""The theme's colour of a state; states that are not named here have the colour `note`."""

FIGURES = {"epochs": 9, "test loss": 10, "mse": 9, "bits/px": 9}
"""Columns of a run's figures, and their widths in cells."""

DROPPED_FOR_NAMES = ("test loss", "mse", "epochs")
"""Columns that are left out where names are long, the first one first."""

STATE_WIDTH, AGE_WIDTH = 11, 12
"""Cells of the columns for a state with its glyph ("✗ unreadable" is cut) and for an age ("12 months")."""


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
    """Why a run cannot be read, which stands in place of its figures."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = list(FIGURES)
        for column in DROPPED_FOR_NAMES:
            if self._room(options, shown) >= self.name_width:
                break
            shown.remove(column)
        room = max(1, min(self.name_width, self._room(options, shown)))
        text, style = self.name
        name = text if len(text) <= room else text[: room - 1] + legible("…")
        if self.reason:
            columns = (f"{name:<{room}}  ", style), self.state, (f"  {legible(self.reason)}", self.age[1])
            yield Text.assemble(*columns, no_wrap=True, overflow="ellipsis")
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
    age = f"{numbers.age(summary.age)} ago", colours["note"]
    return Row(
        (summary.name, colours["emphasis"]), name_width, state, figures, colours["foreground"], age, summary.reason
    )


def heading(name_width: int, colours: Mapping[str, str]) -> Row:
    """The row with the columns' titles."""
    label = colours["label"]
    return Row(("run", label), name_width, ("state", label), {name: name for name in FIGURES}, label, ("", label))


def preset_line(preset: str, name_width: int, colours: dict[str, str]) -> Text:
    """A preset in one line: its network, objective, optimizer and epochs."""
    config = make_config({"preset": preset})
    network = "-".join(map(str, (*config.hidden, config.latent_dim))) if config.model == "mlp" else config.model
    epochs = f"{config.epochs} epochs"
    return Text.assemble(
        ("train ", colours["foreground"]),
        (f"{preset:<{name_width}}  ", colours["emphasis"]),
        (legible(f"{network} · {config.objective} · {config.optimizer} · {epochs}"), colours["note"]),
        no_wrap=True,
        overflow="crop",
    )


class RunList(OptionList):
    """The presets and the form of a new run, and below them the runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "open", id="start.open", tooltip="Start or open what is selected"),
    ]  # fmt: skip


class StartScreen(Screen[None]):
    """Lists the presets, for newcomers, and below them the runs, the newest first."""

    CSS_PATH = "start_screen.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-tall"), (56, "-huge")]  # noqa: RUF012
    TITLE = "Start"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "app.new_run", "new run", id="start.new", tooltip="Describe and start a new run"),
    ]

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self.runs_dir = runs_dir
        self._runs: dict[str, RunDirectory] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="start"):
            yield Static("tui-vae", id="start-name")
            yield Static("train a variational autoencoder on FashionMNIST or images of your own", id="start-what")
            yield RunList(*self._presets(), id="start-list", compact=True)
            yield ImagePairs(id="start-images")
        yield KeyBar()

    def on_mount(self) -> None:
        options = self.query_one(RunList)
        options.highlighted = 0
        options.focus()
        self._list_runs()
        self.call_after_refresh(self.post_message, RunMayStart(here=True))

    def on_unmount(self) -> None:
        self.app.post_message(RunMayStart(here=False))

    def _presets(self) -> list[Option]:
        colours = self.app.theme_variables
        presets = options()["preset"].choices
        width = max(map(len, presets))
        describe = Text.assemble(("describe a run ", colours["foreground"]), (legible("…"), colours["note"]))
        return [
            *(Option(preset_line(preset, width, colours), id=f"{TRAIN}{preset}") for preset in presets),
            Option(describe, id=DESCRIBE),
        ]

    @work(exclusive=True)
    async def _list_runs(self) -> None:
        runs = await asyncio.to_thread(list_runs, self.runs_dir)
        summaries = await asyncio.to_thread(summarize_all, runs)
        self._offer(await asyncio.to_thread(offered, runs))
        if summaries:
            self._show_runs(runs, summaries)

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
        self._show_images(self._runs.get((event.option_id or "").removeprefix(RUN)))

    @work(exclusive=True, group="images")
    async def _show_images(self, run: RunDirectory | None) -> None:
        """Show the newest previews that the highlighted run has saved."""
        strip = self.query_one(ImagePairs)
        if run is None:
            strip.show_pairs([])
            return
        await asyncio.sleep(REST_SECONDS)
        from tui_vae.ui.film import read_film

        film = await asyncio.to_thread(read_film, run.previews, (), newest_only=True)
        strip.show_pairs(film.both)

    def _describe(self, data: str) -> None:
        """Open the form of a new run on these data."""
        from tui_vae.ui.new_run.screen import NewRun

        def start(config: RunConfig | None) -> None:
            if config is not None:
                self.post_message(StartRun(config))

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
