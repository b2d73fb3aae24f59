"""The first screen without a run: start the default with one key, or open a run that is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_vae.config import RunConfig
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.summary import RunSummary, summarize
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.messages import OpenRun, StartRun

TRAIN = "train"
COLOURS = {
    "training": "success",
    "paused": "warning",
    "finished": "success",
    "failed": "error",
    "crashed": "error",
}
"""The theme's colour of a state; quiet ones are not named."""


def age(seconds: float) -> str:
    """How long ago, in one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def run_line(summary: RunSummary, name_width: int, colours: dict[str, str]) -> Text:
    """A run in one line of columns."""
    glyph = glyphs().states.get(summary.state, " ")
    epochs = f"{summary.epochs}/{summary.planned}" if summary.planned else glyphs().dash
    loss = glyphs().dash if summary.test_loss is None else f"{summary.test_loss:,.1f}"
    return Text.assemble(
        (f"{summary.name:<{name_width}}  ", colours["emphasis"]),
        (f"{glyph} {summary.state:<9}", colours[COLOURS.get(summary.state, "note")]),
        (f"{epochs:>9}", colours["foreground"]),
        (f"{loss:>12}", colours["foreground"]),
        (f"{age(summary.age):>13}", colours["note"]),
        no_wrap=True,
        overflow="crop",
    )


def heading(name_width: int, colours: dict[str, str]) -> Text:
    columns = f"{'run':<{name_width}}  {'state':<11}{'epochs':>9}{'test loss':>12}{'':>13}"
    return Text(columns, colours["label"], no_wrap=True, overflow="crop")


class RunList(OptionList):
    """The runs, and above them a new one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "open", id="start.open", tooltip="Start or open what is selected"),
    ]  # fmt: skip


class StartScreen(Screen[None]):
    """Lists the runs, newest first, below the one thing a newcomer wants."""

    CSS_PATH = "start.tcss"
    help_title = "Start"
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
            yield Static("train a variational autoencoder and watch it learn, in this terminal", id="start-what")
            yield RunList(self._train_option(), id="start-list", compact=True)
        yield KeyBar()

    def on_mount(self) -> None:
        options = self.query_one(RunList)
        options.highlighted = 0
        options.focus()
        self._list_runs()

    def _train_option(self) -> Option:
        config = RunConfig()
        text = Text.assemble(
            ("train the default on FashionMNIST", self.app.theme_variables["emphasis"]),
            (f"   {config.epochs} epochs", self.app.theme_variables["note"]),
        )
        return Option(text, id=TRAIN)

    @work(exclusive=True)
    async def _list_runs(self) -> None:
        runs = await asyncio.to_thread(list_runs, self.runs_dir)
        if runs:
            summaries = await asyncio.to_thread(lambda: [summarize(run) for run in runs])
            self._show_runs(runs, summaries)

    def _show_runs(self, runs: Sequence[RunDirectory], summaries: Sequence[RunSummary]) -> None:
        self._runs = {run.name: run for run in runs}
        colours = self.app.theme_variables
        width = max(len(run.name) for run in runs)
        lines = [Option(run_line(summary, width, colours), id=f"run:{summary.name}") for summary in summaries]
        options = self.query_one(RunList)
        options.add_options([Option("", disabled=True), Option(heading(width, colours), disabled=True), *lines])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        chosen = event.option_id or ""
        if chosen == TRAIN:
            self.post_message(StartRun(RunConfig()))
        else:
            self.post_message(OpenRun(self._runs[chosen.removeprefix("run:")]))
