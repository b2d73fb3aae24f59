"""Styles in fewer bytes: the screen is the same as with all of them."""

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_vae.ui.workarounds.terminal_driver import without_repeated_styles

COLOURS = st.none() | st.sampled_from(["#ffaf5f", "#121212", "#767676", "red"])
FLAGS = {name: st.sampled_from([None, True]) for name in ("bold", "dim", "italic", "underline", "reverse")}
STYLES = st.builds(Style, color=COLOURS, bgcolor=COLOURS, **FLAGS)
SEGMENTS = st.builds(Segment, st.sampled_from([" ", "   ", "▀", "▄█", "a b", ""]), STYLES)
LINES = st.lists(st.lists(SEGMENTS, max_size=8), min_size=1, max_size=4)


def sent(lines: list[list[Segment]], colours: str) -> str:
    """As Textual's compositor writes lines."""
    console = Console(color_system=colours, force_terminal=True)  # type: ignore[arg-type]
    return "\n".join(f"\x1b[{y};3H{Strip(line).render(console)}" for y, line in enumerate(lines, 1)) + "\x1b[1;1H"


def screen(data: str) -> list[list[tuple[object, ...]]]:
    """What is seen of each cell: of a space not its ink, unless that is what is underlined or reversed."""
    shown = pyte.Screen(40, 5)
    pyte.Stream(shown).feed(data)
    cells = [[shown.buffer[y][x] for x in range(40)] for y in range(5)]
    return [
        [("", cell.bg) if cell.data == " " and not (cell.underscore or cell.reverse) else tuple(cell) for cell in row]
        for row in cells
    ]


@given(LINES, st.sampled_from(["truecolor", "256", "standard"]))
def test_the_screen_is_the_same(lines: list[list[Segment]], colours: str) -> None:
    data = sent(lines, colours)
    less = without_repeated_styles(data)
    assert screen(less) == screen(data)
    assert len(less) <= len(data)
    assert without_repeated_styles(less) == less
    assert screen(less + "after") == screen(data + "after"), "no style is left behind"


def test_what_is_sent_is_the_difference() -> None:
    grey, other = Style(color="#767676", bgcolor="#121212"), Style(color="#ffaf5f", bgcolor="#121212")
    line = [Segment("▀", grey), Segment("  ", other), Segment("▀", other), Segment("a", other + Style(bold=True))]
    data = sent([line], "256")
    assert without_repeated_styles(data) == "\x1b[1;3H\x1b[38;5;243;48;5;233m▀  \x1b[38;5;215m▀\x1b[1ma\x1b[1;1H\x1b[m"


def test_what_is_no_style_goes_through() -> None:
    for data in ("", "plain", "\x1b[?2026h", "\x1b]52;c;bWFt\a", "\x1b]8;id=1;http://m\x1b\\m\x1b]8;;\x1b\\"):
        assert without_repeated_styles(data) == data
    erased = "\x1b[41m\x1b[2Jm\x1b[0m"  # in the colour that is set
    assert without_repeated_styles(erased) == "\x1b[41m\x1b[2Jm\x1b[m"
