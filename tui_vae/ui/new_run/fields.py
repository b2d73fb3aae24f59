"""The parts of the form of a new run: a line for each option, checked while the user types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.events import Key
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Label

from tui_vae.config import check_option, option_name, options, text_of
from tui_vae.errors import UserError
from tui_vae.ui.glyphs import glyphs
from tui_vae.ui.new_run.this_machine import SUGGESTERS
from tui_vae.ui.terminal import legible
from tui_vae.ui.workarounds.key_bursts import Input


class Choice(Widget, can_focus=True):
    """One of a few words, chosen by the arrow keys or by its first letter."""

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

    def on_key(self, event: Key) -> None:
        at = self.choices.index(self.value)
        onwards = (*self.choices[at + 1 :], *self.choices[:at])
        fits = next((word for word in onwards if event.character and word.startswith(event.character)), None)
        if fits is not None:
            event.stop()
            self.choose(fits)

    def choose(self, value: str) -> None:
        """Choose this value, as the user."""
        if value != self.value:
            self.value = value
            self.refresh()
            self.post_message(self.Changed())


class Field(Horizontal):
    """One option: a mark where it differs from the preset, its name, its value, and its meaning or what is wrong.

    `complaint` says what is wrong with a value that the table of options allows.
    """

    class Edited(Message):
        """The user, or a preset, changed the value."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, name: str, value: Any, complaint: Callable[[str, Any], str] = lambda name, value: "") -> None:
        super().__init__(id=f"field-{option_name(name)}", classes="field")
        self.option_name = name
        self.option = options()[name]
        self._complaint = complaint
        text = text_of(name, value)
        self._editor = Choice(self.option.choices, text) if self.option.choices else self._input(text)
        self.reason = ""
        """What is wrong with the value, as of the last check."""
        self._known = text
        """The last value that was set by `put` or reported as edited: an Input reports both alike."""

    def _input(self, text: str) -> Input:
        suggester = SUGGESTERS.get(self.option_name)
        return Input(text, compact=True, suggester=suggester() if suggester is not None else None)

    def compose(self) -> ComposeResult:
        yield Label("", classes="mark", markup=False)
        yield Label(option_name(self.option_name), classes="name", markup=False)
        yield self._editor
        yield Label(legible(self.option.help), classes="about", markup=False)

    @property
    def text(self) -> str:
        """The value as it stands in the field, unchecked."""
        return self._editor.value

    def put(self, value: Any) -> None:
        """Set the value; it does not count as the user's."""
        self._known = text_of(self.option_name, value)
        if isinstance(self._editor, Choice):
            self._editor.choose(self._known)
        else:
            self._editor.value = self._known
        self.check()

    def mark(self, preset: Any) -> None:
        """Mark the field where its value differs from the preset's, or is wrong."""
        self.set_class(self.text != text_of(self.option_name, preset), "-changed")
        mark = "!" if self.reason else glyphs().dot_mark if self.has_class("-changed") else ""
        label = self.query_one(".mark", Label)
        if label.content != mark:
            label.update(mark)

    def check(self) -> str:
        """Check the value, show what is wrong beside it, and return that; empty where the value is right."""
        try:
            self.reason = self._complaint(self.option_name, check_option(self.option_name, self.text))
        except UserError as error:
            self.reason = error.message
        self.set_class(bool(self.reason), "-wrong")
        beside = self.reason.removeprefix(f"{option_name(self.option_name)} ")
        self.query_one(".about", Label).update(legible(beside or self.option.help))
        return self.reason

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
    """The fields, in a frame that says how many lines are out of sight. Arrow keys are left to the form."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page_down", "down", id="form.page-down", show=False, tooltip="Scroll down"),
        Binding("pageup", "page_up", "up", id="form.page-up", show=False, tooltip="Scroll up"),
    ]

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._update_subtitle()

    def on_resize(self) -> None:
        self.call_after_refresh(self._update_subtitle)

    def keep_in_sight(self, field: Field) -> None:
        """Scroll a field into sight; the first of a group together with the group's name."""
        half = field.parent
        assert isinstance(half, Widget)
        before = half.children[half.children.index(field) - 1]
        region = field.virtual_region
        if before.has_class("group"):
            region = region.union(before.virtual_region)
        self.scroll_to_region(region.translate(half.virtual_region.offset), animate=False, force=True)

    def _update_subtitle(self) -> None:
        above, below = round(self.scroll_y), round(self.max_scroll_y - self.scroll_y)
        symbols = glyphs()
        hidden = [f"{symbols.above} {above}" if above else "", f"{symbols.below} {below} more" if below else ""]
        self.border_subtitle = "  ".join(part for part in hidden if part)
