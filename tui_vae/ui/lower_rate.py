"""What `r` asks where the weights of a run diverged: at which learning rate it goes on."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Label

from tui_vae.config import check_option
from tui_vae.errors import UserError
from tui_vae.runs.history import History
from tui_vae.runs.lower_rate import Rate, rate_to_lower
from tui_vae.runs.protocol import MAX_FACTOR
from tui_vae.ui import numbers
from tui_vae.ui.dialogs import Dialog
from tui_vae.ui.workarounds.key_bursts import Input


class AskRate(Dialog[float]):
    """The learning rate for a run that has diverged; answers with the factor between it and the one before."""

    def __init__(self, name: str, before: Rate) -> None:
        super().__init__(f"{name} has diverged.", "enter go on   esc cancel")
        self._before = before

    def body(self) -> ComposeResult:
        step, rate, suggested = self._before
        since = f"from step {step:,} on" if step else "of its new beginning"
        yield Label(f"Learning rate {since}; it was {numbers.setting(rate)}.", markup=False)
        yield Input(f"{suggested:.2g}", compact=True)
        yield Label("", classes="wrong", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            factor = check_option("lr", event.value.strip()) / self._before.value
            if not 1 / MAX_FACTOR <= factor <= MAX_FACTOR:
                raise UserError(f"It is not within a factor of {MAX_FACTOR:g} of the one before.")
        except UserError as error:
            self.query_one(".wrong", Label).update(str(error))
        else:
            self.dismiss(factor)


def ask_for_lower_rate(node: Widget, name: str, history: History, go_on: Callable[[float | None], None]) -> None:
    """Call `go_on` with None, or where the run diverged with the factor that the user wants for its learning rate."""
    before = rate_to_lower(history)
    if before is None:
        go_on(None)
    else:
        node.app.push_screen(AskRate(name, before), lambda factor: go_on(factor) if factor else None)
