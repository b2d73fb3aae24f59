"""Texts in a terminal without Unicode."""

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from tui_vae.ui.ascii_filter import AsciiOnly, ascii_cells
from tui_vae.ui.terminal import ASCII_WORDS, legible


@pytest.mark.parametrize("text", ["╭─ KL ─╮", "Käse", "日本", "σ ≤ ½ … ▸", "a\u0302b", "█▌▁"])
def test_whatever_is_painted_is_ascii_and_as_wide(text: str) -> None:
    (painted,) = AsciiOnly().apply([Segment(text)], Color.parse("black"))
    assert painted.text.isascii() and cell_len(painted.text) == cell_len(text)


def test_signs_become_words_before_they_are_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "▸ z 3   σ 1.19   −3σ … +3σ   variance of the mean ≤ 0.01   41°C · β — 2"
    assert legible(text) == text
    monkeypatch.setenv("LC_ALL", "C")
    assert legible(text) == "> z 3   sigma 1.19   -3sigma ... +3sigma   variance of the mean <= 0.01   41C | b - 2"
    assert all(text.isascii() for text in ASCII_WORDS.values())
    assert ascii_cells("é…─") == "e.-"
