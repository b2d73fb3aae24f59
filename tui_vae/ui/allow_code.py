"""The question whether code that a run brings may run."""

from __future__ import annotations

from tui_vae.ui.dialogs import Confirm


def question(name: str, why: str) -> Confirm:
    """Whether the code of the run called `name` may run; `why` it does not yet. Enter is no answer."""
    explanation = f"{why[0].upper()}{why[1:]}.\n\nIt can do whatever you can do. Read that file first."
    return Confirm(f"Run the code of {name}?", explanation, "allow it", careful=True)
