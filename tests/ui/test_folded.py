"""Keys that mirror each other stand in one line."""

import pytest

from tui_vae.ui.folded import Entry, both


@pytest.mark.parametrize(
    ("one", "other", "folded"),
    [
        ("The run above", "The run below", "The run above / below"),
        ("Previous image, or frame", "Next image, or frame", "Previous / Next image, or frame"),
        ("A page up", "A page down", "A page up / down"),
        ("Scroll", "Scroll", "Scroll"),
        ("Cursor left; the bar before", "Cursor right; the bar after", "Cursor left / right; the bar before / after"),
        ("Sort by the column before", "Sort by the next column", "Sort by the column before / next column"),
    ],
)
def test_two_sentences_become_one(one: str, other: str, folded: str) -> None:
    assert both(one, other) == folded


def test_a_line_is_found_by_key_text_and_id() -> None:
    entry = Entry(("↑", "↓"), "The run above / below", ("runs.up", "runs.down"))
    assert (entry.names, entry.key_text) == ("runs.up/down", "↑ ↓")
    far = Entry(("shift+←", "shift+→"), "Far", ("train.far-left", "train.far-right"))
    assert (far.names, far.key_text) == ("train.far-left/right", "shift+← →")
    assert entry.has("run BELOW") and entry.has("↑") and entry.has("runs.down") and not entry.has("run left")
