"""The form of a new run: every option of the table of options, and beside them a forecast of the run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from tui_vae.config import (
    RunConfig,
    allowed,
    make_config,
    option_name,
    options,
    preset_config,
    text_of,
    train_options,
)
from tui_vae.config.presets import SUITS
from tui_vae.errors import UserError
from tui_vae.runs import advice
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.queue import to_wait_for
from tui_vae.ui.commands import KeysInContext
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.messages import RunMayStart, StartRun
from tui_vae.ui.new_run.fields import Field, Fields
from tui_vae.ui.new_run.forecast import Throughput, facts, read_throughputs, seconds_of, summary
from tui_vae.ui.new_run.this_machine import complaint
from tui_vae.ui.new_run.trial import trial
from tui_vae.ui.terminal import legible

WIDE = 110
"""Cells of width from which the forecast stands beside the fields, not below them."""

WIDE_FOR_TWO, NARROW_FOR_TWO = 118, 80
"""Cells of width from which the fields may stand in two columns, with the forecast beside them or below them."""

FRAME_AND_KEYS, PROSPECT = 3, 5
"""Lines that the fields' frame and the key bar take, and those of the forecast below the fields."""


def groups() -> dict[str, list[str]]:
    """The options' names by their groups, in the order of the form."""
    found: dict[str, list[str]] = {}
    for name, option in options().items():
        found.setdefault(option.group, []).append(name)
    return found


def halves() -> list[dict[str, list[str]]]:
    """The groups in two columns of about the same height."""
    found: list[dict[str, list[str]]] = [{}, {}]
    total = len(options()) + len(groups())
    for group, names in groups().items():
        left = sum(len(each) + 1 for each in found[0].values())
        found[bool(found[1]) or left + (len(names) + 1) / 2 > total / 2][group] = names
    return found


def lines(in_two: bool) -> int:
    """Lines that all fields take with the names of their groups, in one column or in two."""
    heights = [sum(len(names) + 1 for names in half.values()) for half in halves()]
    return max(heights) if in_two else sum(heights)


class NewRun(ModalScreen[StartRun | None], KeysInContext):
    """Answers with the run that is to be started, or None."""

    CSS_PATH = "new_run.tcss"
    TITLE = "New run"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,ctrl+s", "start", "start", id="form.start", priority=True,
                tooltip="Start the run"),
        Binding("ctrl+t", "start_next", "train next", id="form.next-run", priority=True,
                tooltip="Train it next: when the run that trains now, and those in the queue, have ended"),
        Binding("down", "app.focus_next", "next field", id="form.next", show=False, tooltip="Next field"),
        Binding("up", "app.focus_previous", "field before", id="form.previous", show=False,
                tooltip="The field before"),
        Binding("ctrl+r", "as_preset", "as preset", id="form.as-preset",
                tooltip="Give the field the preset's value"),
        Binding("ctrl+y", "copy", "copy command", id="form.copy",
                tooltip="Copy the command that would do the same"),
        Binding("f1", "app.help", "help", id="form.help", tooltip="All keys that work here"),
        Binding("escape", "cancel", "cancel", id="form.cancel", tooltip="Close; nothing is started"),
    ]  # fmt: skip

    def __init__(
        self, runs_dir: Path, like: RunConfig | None = None, again: bool = False, steered: bool = False
    ) -> None:
        """`runs_dir`: where the run will be. `like`: the config that fills the form, but for its name; its name as well
        where the form is shown `again`. `steered`: `like` is of a run that is not what this config alone makes."""
        super().__init__()
        self._runs_dir = runs_dir
        self._throughputs: list[Throughput] = []
        self._before: RunDirectory | None = None
        """The run behind which this one would wait."""
        self._title = f"new run, like {like.name}" if like and like.name and not again else "new run"
        self._title += " without its steering" if steered else ""
        self._initial = like or RunConfig()
        if not again:
            self._initial = replace(self._initial, name=None)
        defaults = preset_config(self._initial.preset)
        same = {name for name in options() if getattr(self._initial, name) == getattr(defaults, name)}
        self._touched = set(options()) - same - {"preset"}
        """The options that the user has set; another preset leaves them alone."""

    def compose(self) -> ComposeResult:
        with Container(id="form"):
            with Fields(id="fields") as fields:
                fields.border_title = self._title
                for number, half in enumerate(halves()):
                    with Vertical(classes="half -second" if number else "half"):
                        for group, names in half.items():
                            yield Label(group, classes="group")
                            for name in names:
                                yield Field(name, getattr(self._initial, name), self._complaint)
            with Vertical(id="prospect"):
                yield Static(id="explain", markup=False)
                yield Static(id="forecast", markup=False)
                yield Static(id="command", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#forecast").border_title = "what it will be"
        self.query_one("#command").border_title = "the same from a shell"
        self._arrange(self.app.size)  # before the first layout, so that there is only one
        self.query_one("#field-name Input").focus(scroll_visible=False)
        self._show()
        self.run_worker(self._look_around())
        self.call_after_refresh(self.post_message, RunMayStart(here=True))

    def on_unmount(self) -> None:
        self.app.post_message(RunMayStart(here=False))

    def on_resize(self, event: Resize) -> None:
        self._arrange(event.size)
        self._explain()
        self._show()
        self.call_after_refresh(self._keep_in_sight)

    def _arrange(self, size: Size) -> None:
        """Choose the arrangement that has the most fields on the screen."""
        possible = [
            (wide, two, size.height - FRAME_AND_KEYS - (0 if wide else PROSPECT) - lines(two))
            for wide, two, least in ((True, False, WIDE), (True, True, WIDE_FOR_TWO), (False, True, NARROW_FOR_TWO))
            if size.width >= least
        ]
        fallback = size.width >= WIDE, False, -1
        wide, two, spare = next((each for each in possible if each[2] >= 0), fallback)
        self.set_class(wide, "-wide")
        self.set_class(two, "-two")
        self.set_class(spare >= len(groups()) - 1, "-airy")

    async def _look_around(self) -> None:
        """Read how fast earlier runs were, and whether one trains now, behind the first paint. Where no run was like
        this one, train for a second."""
        self._throughputs = await asyncio.to_thread(read_throughputs, self._runs_dir)
        self._show()
        with suppress(UserError):
            self._before = await asyncio.to_thread(to_wait_for, self._runs_dir)
            self.refresh_bindings()
        if getattr(self.app, "keeps_warm", False) and seconds_of(self._initial, self._throughputs) is None:
            found = await trial(self._initial, self._throughputs, self._runs_dir)
            self._throughputs += [found] if found is not None else []
            self._show()

    def _complaint(self, name: str, value: Any) -> str:
        return complaint(name, value, self._runs_dir)

    def on_descendant_focus(self) -> None:
        self._explain()
        self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        if self._field is not None:
            self.query_one(Fields).keep_in_sight(self._field)

    @property
    def _field(self) -> Field | None:
        """The field with the focus."""
        return next((field for field in self.query(Field) if field.has_focus_within), None)

    def _explain(self) -> None:
        """Show the focused field's meaning in full, which its line cuts short, and the values that it takes."""
        field = self._field
        if field is None:
            return
        explain, reason = self.query_one("#explain", Static), field.check()
        explain.set_class(bool(reason), "-wrong")
        values = allowed(field.option_name)
        if not self.has_class("-wide"):
            words = f": {', '.join(field.option.choices)}" if len(field.option.choices) > 1 else ""
            explain.update(legible(reason or field.option.help + words))
            return
        explain.border_title = option_name(field.option_name)
        name, preset = field.option_name, self._preset
        colours = self.app.theme_variables
        about = Text(legible(field.option.help[:1].upper() + field.option.help[1:]) + "\n")
        if field.option.choices and not reason:
            for choice in field.option.choices:
                about.append(f"{choice}  ", colours["accent" if choice == field.text else "note"])
        else:
            about.append(legible(reason or values), colours["error" if reason else "note"])
        if name == "preset":
            about.append(f"\nsuits {legible(SUITS[field.text])}", colours["label"])
        else:
            usual = text_of(name, getattr(preset_config(preset), name))
            about.append(f"\npreset {preset}: {usual}", colours["label"])
        explain.update(about)

    def on_field_edited(self, event: Field.Edited) -> None:
        self._touched.add(event.field.option_name)
        if event.field.option_name == "preset":
            self._fill(event.field.text)
        self._explain()
        self._show()

    @property
    def _preset(self) -> str:
        return self.query_one("#field-preset", Field).text

    def _fill(self, preset: str) -> None:
        defaults = preset_config(preset)
        for field in self.query(Field):
            if field.option_name not in self._touched:
                field.put(getattr(defaults, field.option_name))

    def _config(self) -> RunConfig:
        """
        Raises:
            UserError: a field's value will not do.
        """
        return make_config({field.option_name: field.text for field in self.query(Field)})

    def _show(self) -> None:
        """Show which fields differ from the preset, the forecast, and the command that would do the same."""
        defaults = preset_config(self._preset)
        for field in self.query(Field):
            if field.option_name != "preset":
                field.mark(getattr(defaults, field.option_name))
        reason = next((field.reason for field in self.query(Field) if field.reason), "")
        command = ""
        try:
            config = self._config()
            command = self._command(config)
            self.query_one("#forecast", Static).update(self._forecast(config))
        except UserError as error:  # for example, two values that make no sense together
            reason = reason or str(error)
        line = self.query_one("#command", Static)
        line.set_class(bool(reason), "-wrong")
        line.update(legible(reason) or command)

    def _command(self, config: RunConfig) -> str:
        return advice.command("train", self._runs_dir, options=train_options(config))

    def _forecast(self, config: RunConfig) -> str | Table:
        if not self.has_class("-wide"):
            return summary(config, self._throughputs)
        colours = self.app.theme_variables
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, value in facts(config, self._throughputs):
            table.add_row(Text(name, colours["label"]), Text(legible(value), colours["emphasis"]))
        return table

    def action_as_preset(self) -> None:
        field = self._field
        if field is not None and field.option_name != "preset":
            self._touched.discard(field.option_name)
            field.put(getattr(preset_config(self._preset), field.option_name))
            self._explain()
            self._show()

    def makes_sense_now(self, action: str) -> bool:
        return action != "start_next" or self._before is not None

    async def action_start_next(self) -> None:
        with suppress(UserError):  # asked again: the look around may not have come so far, and runs begin and end
            self._before = await asyncio.to_thread(to_wait_for, self._runs_dir)
        if self._before is None:
            self.app.notify("No run trains now: enter starts it at once.", severity="warning")
        else:
            self._answer(self._before)

    def action_start(self) -> None:
        self._answer(None)

    def _answer(self, after: RunDirectory | None) -> None:
        for field in self.query(Field):
            if field.check():
                field.query_one("Input, Choice").focus()
                return
        try:
            self.dismiss(StartRun(self._config(), after))
        except UserError as error:
            self.app.notify(str(error), severity="warning", markup=False)

    def action_copy(self) -> None:
        try:
            command = self._command(self._config())
        except UserError as error:
            self.app.notify(str(error), severity="warning", markup=False)
            return
        self.app.copy_to_clipboard(command)
        self.app.notify(f"Copied, if your terminal allows it: {command}", timeout=4, markup=False)

    def action_cancel(self) -> None:
        self.dismiss(None)
