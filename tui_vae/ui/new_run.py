"""The form that describes a new run: every option of the one table, checked as one types."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from tui_vae.config import PRESETS, RunConfig, check_option, command_line, make_config, options, outside, text_of
from tui_vae.errors import UserError
from tui_vae.runs.directory import runs_directory
from tui_vae.ui.forecast import Pace, forecast, read_paces
from tui_vae.ui.key_bar import KeyBar
from tui_vae.ui.terminal import legible


class Choice(Widget, can_focus=True):
    """One of a few words, turned with the arrow keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "previous", id="choice.left", show=False, tooltip="The choice before"),
        Binding("right,space", "turn(1)", "next", id="choice.right", show=False, tooltip="The next choice"),
    ]

    class Changed(Message):
        """Another word is chosen."""

    def __init__(self, choices: tuple[str, ...], value: str) -> None:
        super().__init__()
        self.choices = choices
        self.value = value

    def render(self) -> str:
        return legible(f"‹ {self.value} ›") if len(self.choices) > 1 else f"  {self.value}"

    def action_turn(self, by: int) -> None:
        self.choose(self.choices[(self.choices.index(self.value) + by) % len(self.choices)])

    def on_click(self) -> None:
        self.action_turn(1)

    def choose(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.refresh()
            self.post_message(self.Changed())


class Field(Horizontal):
    """One option: its name, its value, and beside it what it means, or why the value will not do."""

    class Edited(Message):
        """The user, or a preset, changed the value."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(id=f"field-{outside(name)}", classes="field")
        self.option_name = name
        self.option = options()[name]
        text = text_of(name, value)
        self._editor = Choice(self.option.choices, text) if self.option.choices else Input(text, compact=True)
        self._known = text
        """The last value that was not typed, or has been told: an Input also reports what it is given."""

    def compose(self) -> ComposeResult:
        yield Label(outside(self.option_name), classes="name", markup=False)
        yield self._editor
        yield Label(legible(self.option.help), classes="about", markup=False)

    @property
    def text(self) -> str:
        return self._editor.value

    def put(self, value: Any) -> None:
        """Set the value without counting it as the user's."""
        self._known = text_of(self.option_name, value)
        if isinstance(self._editor, Choice):
            self._editor.choose(self._known)
        else:
            self._editor.value = self._known
        self.check()

    def check(self) -> str:
        """Why the value will not do; empty where it does. Shown beside it."""
        try:
            check_option(self.option_name, self.text)
            reason = ""
        except UserError as error:
            reason = error.message
        self.set_class(bool(reason), "-wrong")
        self.query_one(".about", Label).update(legible(reason or self.option.help))
        return reason

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._edited()

    def on_choice_changed(self, event: Choice.Changed) -> None:
        event.stop()
        self._edited()

    def _edited(self) -> None:
        if self.text != self._known:
            self._known = self.text
            self.check()
            self.post_message(self.Edited(self))


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields; the arrow keys belong to the form, which moves from one to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page_down", "down", id="form.page-down", show=False, tooltip="Scroll down"),
        Binding("pageup", "page_up", "up", id="form.page-up", show=False, tooltip="Scroll up"),
    ]


class NewRun(ModalScreen[RunConfig | None]):
    """Answers with the description of the run, or None."""

    CSS_PATH = "new_run.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,enter", "start", "start", id="form.start", priority=True,
                tooltip="Start the run"),
        Binding("down", "app.focus_next", "next field", id="form.next", tooltip="Next field"),
        Binding("up", "app.focus_previous", "field before", id="form.previous", show=False,
                tooltip="The field before"),
        Binding("ctrl+y", "copy", "copy command", id="form.copy",
                tooltip="Copy the command that would do the same"),
        Binding("escape", "cancel", "cancel", id="form.cancel", tooltip="Close; nothing is started"),
    ]  # fmt: skip

    def __init__(self, like: RunConfig | None = None) -> None:
        """`like`: what the form is filled with; the name is left to be chosen."""
        super().__init__()
        self._paces: list[Pace] = []
        self._initial = replace(like or RunConfig(), name=None)
        recipe = replace(RunConfig(), **PRESETS[self._initial.preset])
        same = {name for name in options() if getattr(self._initial, name) == getattr(recipe, name)}
        self._touched = set(options()) - same - {"preset"}
        """The options that the user set; a preset leaves them alone."""

    def compose(self) -> ComposeResult:
        with Vertical(id="form"):
            yield Label("New run", classes="question")
            with Fields(id="fields"):
                group = ""
                for name, option in options().items():
                    if option.group != group:
                        group = option.group
                        yield Label(group, classes="group")
                    yield Field(name, getattr(self._initial, name))
            yield Static(id="explain", markup=False)
            yield Static(id="forecast", markup=False)
            yield Static(id="command", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#field-name Input").focus(scroll_visible=False)
        self._show_command()
        self.run_worker(self._look_at_paces())

    async def _look_at_paces(self) -> None:
        """How fast earlier runs went, behind the first paint."""
        self._paces = await asyncio.to_thread(read_paces, getattr(self.app, "runs_dir", runs_directory()))
        self._show_command()

    def on_descendant_focus(self) -> None:
        self._explain()

    def _explain(self) -> None:
        """In full what the focused field's line may have to cut short."""
        field = next((field for field in self.query(Field) if field.has_focus_within), None)
        if field is not None:
            self.query_one("#explain", Static).update(legible(field.check() or field.option.help))

    def on_field_edited(self, event: Field.Edited) -> None:
        self._touched.add(event.field.option_name)
        if event.field.option_name == "preset":
            self._fill(event.field.text)
        self._explain()
        self._show_command()

    def _fill(self, preset: str) -> None:
        recipe = replace(RunConfig(), preset=preset, **PRESETS[preset])
        for field in self.query(Field):
            if field.option_name not in self._touched:
                field.put(getattr(recipe, field.option_name))

    def _config(self) -> RunConfig:
        """
        Raises:
            UserError: a field's value will not do.
        """
        return make_config({field.option_name: field.text for field in self.query(Field)})

    def _show_command(self) -> None:
        command = self.query_one("#command", Static)
        try:
            config = self._config()
            command.update(command_line(config))
            command.remove_class("-wrong")
            self.query_one("#forecast", Static).update(forecast(config, self._paces))
        except UserError as error:
            command.update(str(error))
            command.add_class("-wrong")

    def action_start(self) -> None:
        for field in self.query(Field):
            if field.check():
                field.query_one("Input, Choice").focus()
                return
        self.dismiss(self._config())

    def action_copy(self) -> None:
        try:
            command = command_line(self._config())
        except UserError as error:
            self.app.notify(str(error), severity="warning", markup=False)
            return
        self.app.copy_to_clipboard(command)
        self.app.notify(f"Copied, if your terminal allows it: {command}", timeout=4, markup=False)

    def action_cancel(self) -> None:
        self.dismiss(None)
