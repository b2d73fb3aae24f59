"""The app's colours, each named once; style sheets use the names (`$frame`, `$label`, ...).

Every grey lies on the 24-step ramp of 256 colours and every accent on its colour cube: over SSH, where COLORTERM is
not forwarded, the app looks the same as in true colour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from textual.theme import Theme

DARK = Theme(
    name="tui-vae-dark",
    dark=True,
    primary="#ffaf5f",
    secondary="#5fafd7",
    accent="#ffaf5f",
    success="#87d787",
    warning="#ffd75f",
    error="#ff5f5f",
    foreground="#d0d0d0",
    background="#121212",
    surface="#121212",
    panel="#1c1c1c",
    boost="#1c1c1c",
    text_alpha=1.0,
    variables={
        "bar": "#1c1c1c",
        "frame": "#3a3a3a",
        "chosen": "#303030",
        "quiet": "#4e4e4e",
        "label": "#767676",
        "note": "#9e9e9e",
        "emphasis": "#eeeeee",
        "test-series": "#ffaf5f",
        "train-series": "#5fafd7",
        "band": "#3a3a3a",
        "gap": "#875f00",
        "latent": "#af87ff",
        "series-0": "#ffaf5f",
        "series-1": "#87afff",
        "series-2": "#afffff",
        "series-3": "#af5f87",
        "on-accent": "#121212",
        "block-cursor-background": "#ffaf5f",
        "block-cursor-foreground": "#121212",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#3a3a3a",
        "block-cursor-blurred-foreground": "#d0d0d0",
        "block-hover-background": "#262626",
        "input-cursor-background": "#d0d0d0",
        "input-cursor-foreground": "#121212",
        "input-selection-background": "#626262",
        "border": "#ffaf5f",
        "border-blurred": "#3a3a3a",
        "footer-background": "#1c1c1c",
        "footer-foreground": "#9e9e9e",
        "footer-description-foreground": "#9e9e9e",
        "footer-key-foreground": "#ffaf5f",
        "footer-key-background": "#1c1c1c",
        "footer-item-background": "#1c1c1c",
        "scrollbar": "#3a3a3a",
        "scrollbar-hover": "#4e4e4e",
        "scrollbar-active": "#767676",
        "scrollbar-background": "#121212",
        "scrollbar-background-hover": "#121212",
        "scrollbar-background-active": "#121212",
        "scrollbar-corner-color": "#121212",
    },
)

LIGHT = Theme(
    name="tui-vae-light",
    dark=False,
    primary="#af5f00",
    secondary="#005f87",
    accent="#af5f00",
    success="#008700",
    warning="#875f00",
    error="#d70000",
    foreground="#303030",
    background="#eeeeee",
    surface="#eeeeee",
    panel="#e4e4e4",
    boost="#e4e4e4",
    text_alpha=1.0,
    variables={
        "bar": "#e4e4e4",
        "frame": "#bcbcbc",
        "chosen": "#d0d0d0",
        "quiet": "#a8a8a8",
        "label": "#767676",
        "note": "#585858",
        "emphasis": "#121212",
        "test-series": "#af5f00",
        "train-series": "#005f87",
        "band": "#c6c6c6",
        "gap": "#d7af87",
        "latent": "#5f00af",
        "series-0": "#af5f00",
        "series-1": "#0087d7",
        "series-2": "#000087",
        "series-3": "#5f0000",
        "on-accent": "#eeeeee",
        "block-cursor-background": "#af5f00",
        "block-cursor-foreground": "#eeeeee",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#bcbcbc",
        "block-cursor-blurred-foreground": "#303030",
        "block-hover-background": "#dadada",
        "input-cursor-background": "#303030",
        "input-cursor-foreground": "#eeeeee",
        "input-selection-background": "#bcbcbc",
        "border": "#af5f00",
        "border-blurred": "#bcbcbc",
        "footer-background": "#e4e4e4",
        "footer-foreground": "#585858",
        "footer-description-foreground": "#585858",
        "footer-key-foreground": "#af5f00",
        "footer-key-background": "#e4e4e4",
        "footer-item-background": "#e4e4e4",
        "scrollbar": "#bcbcbc",
        "scrollbar-hover": "#a8a8a8",
        "scrollbar-active": "#767676",
        "scrollbar-background": "#eeeeee",
        "scrollbar-background-hover": "#eeeeee",
        "scrollbar-background-active": "#eeeeee",
        "scrollbar-corner-color": "#eeeeee",
    },
)

THEMES = (DARK, LIGHT)
NAMED = {"dark": DARK.name, "light": LIGHT.name}
"""The names of the themes by what `--theme` calls them."""

USUAL = "dark"
"""The background of a terminal that tells nothing of its own: most of them are dark."""


def suiting(background: str) -> str:
    """The name of the theme for a `light` or a `dark` background."""
    return NAMED[background]


_GREYS_16 = (0x00, 0x55, 0xAA, 0xFF)
"""The greys of a terminal with 16 colours, as Rich takes them to look."""

_BRIGHT_16 = {
    **{"#ffaf5f": "#ffff55", "#5fafd7": "#55ffff", "#87d787": "#55ff55", "#ffd75f": "#ffff55", "#ff5f5f": "#ff5555"},
    **{"#875f00": "#aa5500", "#af87ff": "#ff55ff"},
    **{"#87afff": "#5555ff", "#afffff": "#55ffff", "#af5f87": "#ff55ff"},
}
"""The accents of the dark theme in 16 colours; Rich by itself turns most of them grey."""

_DEEP_16 = {
    **{"#af5f00": "#aa00aa", "#005f87": "#0000aa", "#008700": "#00aa00", "#875f00": "#aa0000", "#d70000": "#aa0000"},
    **{"#5f00af": "#aa00aa", "#d7af87": "#ff55ff"},
    **{"#0087d7": "#5555ff", "#000087": "#0000aa", "#5f0000": "#aa0000"},
}
"""Those of the light theme. The colour that terminals call yellow, which is what is nearest to brown and amber, cannot
be read on white: magenta stands for amber, and red also for warnings."""


def for_terminal(theme: Theme, color_system: str | None) -> Theme:
    """The theme in colours that a terminal with few of them shows as they are meant."""
    if color_system == "256":
        return _with_colours(theme, _grey_256, {})
    if color_system != "standard":
        return theme
    return _with_colours(theme, _grey_16 if theme.dark else _light_grey_16, _BRIGHT_16 if theme.dark else _DEEP_16)


def _with_colours(theme: Theme, grey_level: Callable[[int], int], accents: Mapping[str, str]) -> Theme:
    def converted(colour: str) -> str:
        grey = re.fullmatch(r"#(..)\1\1", colour)
        return "#" + f"{grey_level(int(grey[1], 16)):02x}" * 3 if grey else accents.get(colour, colour)

    plain: dict[str, Any] = {
        field.name: converted(value) for field in fields(theme) if isinstance(value := getattr(theme, field.name), str)
    }
    return replace(theme, **plain, variables={name: converted(colour) for name, colour in theme.variables.items()})


def _grey_256(level: int) -> int:
    """The level that Rich sends to the step of the ramp with this level: its rounding misses bright steps by one."""
    return round((level + 2) / 10 * 255 / 25)


def _grey_16(level: int) -> int:
    """Only backgrounds of the dark theme become black: frames and labels must be seen."""
    return _GREYS_16[0 if level < 0x30 else 1 if level < 0x80 else 2 if level < 0xDA else 3]


def _light_grey_16(level: int) -> int:
    """Texts of the light theme become black, labels dark grey, frames grey, and backgrounds white."""
    return _GREYS_16[0 if level < 0x50 else 1 if level < 0x98 else 2 if level < 0xDA else 3]


DEFAULT_VARIABLES = {
    name: DARK.variables[name]
    for name in (
        *("bar", "frame", "chosen", "quiet", "label", "note", "emphasis"),
        *("test-series", "train-series", "band", "gap", "latent", "on-accent"),
        *("series-0", "series-1", "series-2", "series-3"),
    )
}
"""Variables that the style sheets use and Textual's own themes lack; a theme of this app replaces them."""
