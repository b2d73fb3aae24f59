"""What the app looks like where: colours that arrive as they are meant and can be told apart, signs that fonts have."""

import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from textual.theme import Theme

import tui_vae.ui
from tests.support.vision import VISION, contrast, is_exact, lab
from tui_vae.errors import UserError
from tui_vae.ui import glyphs, terminal, theme
from tui_vae.ui.charts.sparkline import sparkline
from tui_vae.ui.open_app import run
from tui_vae.ui.runs.marks import MOST, SERIES_COLOURS, series_marker


@pytest.mark.parametrize("name", [each.name for each in theme.THEMES])
def test_themes_arrive_as_they_are_meant_in_256_colours(name: str) -> None:
    meant = next(each for each in theme.THEMES if each.name == name)
    sent = theme.for_terminal(meant, "256")
    for there, here in ((sent.variables, meant.variables), (vars(sent), vars(meant))):
        for key, colour in here.items():
            if isinstance(colour, str) and colour.startswith("#"):
                arrived = Color.parse(str(there[key])).downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
                assert arrived.hex == colour, key


@pytest.mark.parametrize("each", theme.THEMES, ids=[each.name for each in theme.THEMES])
def test_texts_can_be_read_and_series_told_apart_by_every_eye(each: Theme) -> None:
    def colour(name: str) -> Color:
        return Color.parse(each.variables.get(name) or getattr(each, name))

    for ground in ("background", "bar"):
        for text in ("foreground", "emphasis", "note"):
            assert contrast(colour(text), colour(ground)) >= 4.5, (text, ground)
        for text in ("label", "accent", "success", "warning", "error", "test-series", "train-series", "latent"):
            assert contrast(colour(text), colour(ground)) >= 3.5, (text, ground)
    for text in ("foreground", "emphasis", "note"):
        assert contrast(colour(text), colour("chosen")) >= 4.5, text
    for vision in VISION:
        test, train = (lab(colour(name), vision) for name in ("test-series", "train-series"))
        assert math.dist(test, train) > 60, vision


@pytest.mark.parametrize("each", theme.THEMES, ids=[each.name for each in theme.THEMES])
def test_the_colours_of_marked_runs_are_exact_in_256_and_apart_for_every_eye(each: Theme) -> None:
    colours = [Color.parse(each.variables[f"series-{number}"]) for number in range(SERIES_COLOURS)]
    assert all(map(is_exact, colours))
    assert min(contrast(colour, Color.parse(each.background or "")) for colour in colours) >= 3
    for vision in VISION:
        places = [lab(colour, vision) for colour in colours]
        assert min(math.dist(a, b) for a, b in combinations(places, 2)) > 22, vision
    few = theme.for_terminal(each, "standard")
    sent = {Color.parse(few.variables[f"series-{number}"]).downgrade(ColorSystem.STANDARD).number
            for number in range(SERIES_COLOURS)}  # fmt: skip
    assert len(sent) == SERIES_COLOURS  # in 16 colours too


def test_colour_is_never_the_only_difference() -> None:
    """Marked runs differ by their symbols, and states by theirs, but for crashed and failed, which are told by name."""
    for symbols in (glyphs.UNICODE, glyphs.ASCII):
        assert len({series_marker(slot, symbols) for slot in range(MOST)}) == MOST
        assert len(set(symbols.states.values())) == len(symbols.states) - 1
        assert symbols.train != symbols.test


# What fonts for terminals have: Latin, Greek, punctuation, arrows, mathematics, lines, blocks, shapes, ticks, Braille.
COMMON = ((0x20, 0x17F), (0x370, 0x3FF), (0x2010, 0x205F), (0x2070, 0x209F), (0x2190, 0x21FF), (0x2200, 0x22FF),
          (0x2500, 0x25FF), (0x2713, 0x271A), (0x2800, 0x28FF))  # fmt: skip


def test_every_sign_is_in_common_fonts_and_one_cell_wide() -> None:
    package = Path(tui_vae.ui.__file__).parent
    used = {sign for path in package.rglob("*.py") for sign in path.read_text() if not sign.isascii()}
    used -= {"⏎"}  # which the app replaces with a word
    assert {"▶", "█", "β"} <= used
    assert not [sign for sign in used if not any(low <= ord(sign) <= high for low, high in COMMON)]
    assert not [sign for sign in used if cell_len(sign) != 1]
    plain = "".join([*glyphs.ASCII.states.values(), sparkline([1.0, 2.0], 2, glyphs.ASCII)])
    assert plain.isascii()


def test_terminals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a terminal"):
        run(tmp_path)
    assert terminal.why_unsuitable({"TERM": "dumb"}, is_terminal=True) is not None
    assert terminal.why_unsuitable({"TERM": "xterm-256color"}, is_terminal=True) is None
    assert terminal.has_unicode({}) and terminal.has_unicode({"LANG": "de_DE.UTF-8"})
    assert not terminal.has_unicode({"LANG": "C", "LC_CTYPE": "C.UTF-8"}) and not terminal.has_unicode({"LC_ALL": "C"})
    for gnu_screen in ({"STY": "1.pts-0.host", "TERM": "screen"}, {"TERM": "screen.xterm-256color"}):
        assert not terminal.may_report_mouse(gnu_screen)  # it would keep escape until the next key
    for other in ({"TERM": "xterm"}, {"TERM": "screen-256color", "TMUX": "/tmp/1", "STY": "1"}, {"TERM": "screen"}):
        assert terminal.may_report_mouse(other)
    environ = {"TERM": "xterm", "NO_COLOR": "1"}
    terminal.prepare_environment(environ, "256")
    assert environ["TEXTUAL_COLOR_SYSTEM"] == "256" and "NO_COLOR" not in environ
    for given, kept in (("", False), ("1", True)):  # an empty one is no wish: https://no-color.org
        environ = {"TERM": "xterm", "NO_COLOR": given}
        terminal.prepare_environment(environ)
        assert ("NO_COLOR" in environ) == kept
    environ = {"TERM": "foot"}
    terminal.prepare_environment(environ)
    assert environ["TEXTUAL_COLOR_SYSTEM"] == "truecolor" and environ["TEXTUAL_ANIMATIONS"] == "none"


@pytest.mark.parametrize(("term", "expected"), [("vt100", True), ("xterm-mono", True), ("xterm", False), ("?", False)])
def test_a_terminal_without_colours_is_sent_none(term: str, expected: bool) -> None:
    """In a process of its own, as the terminal database is asked about one terminal only."""
    told = "from tui_vae.ui import terminal; e = {'TERM': %r}; terminal.prepare_environment(e, %r); print(e)"
    for colour, wanted in (("auto", expected), ("16", False)):  # who asks for colours gets them
        command = [sys.executable, "-c", told % (term, colour)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert ("NO_COLOR" in found) == wanted


@pytest.mark.parametrize(
    ("term", "expected"),
    [(name, "truecolor") for name in ("alacritty", "foot", "foot-extra", "ghostty", "xterm-ghostty", "xterm-kitty",
                                      "wezterm", "xterm-direct", "tmux-direct", "konsole-direct")]
    + [("xterm-256color", None), ("screen-256color", None), ("linux", None), ("xterm", None)],
)  # fmt: skip
def test_terminals_that_ssh_makes_look_poor_are_recognized(term: str, expected: str | None) -> None:
    environ = {"TERM": term}
    terminal.prepare_environment(environ)
    assert environ.get("TEXTUAL_COLOR_SYSTEM") == expected
    for asked, system in (("truecolor", "truecolor"), ("256", "256"), ("16", "standard")):
        environ = {"TERM": term}
        terminal.prepare_environment(environ, asked)
        assert environ["TEXTUAL_COLOR_SYSTEM"] == system and "NO_COLOR" not in environ
    environ = {"TERM": term}
    terminal.prepare_environment(environ, "none")
    assert environ["NO_COLOR"] == "1"
