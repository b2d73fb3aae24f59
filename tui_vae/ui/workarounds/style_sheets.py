"""Style sheets that are read later than the app's.

Written for Textual 8.2: only apps and screens have a `CSS_PATH`, and a screen's sheet is read when the screen is
opened. Widgets have none. Without this, the sheets of all panes must be read with the app's, which costs the first
paint 80 ms; and the first opening of the help waits until its sheet, and all others with it, are parsed.

To see whether it is still needed: look whether Textual's widgets have a `CSS_PATH`.
"""

from __future__ import annotations

from pathlib import Path

from textual.css.stylesheet import Stylesheet


def read_style_sheet(stylesheet: Stylesheet, path: Path) -> None:
    """Add a file to an app's styles, unless it is there already. It is parsed when it is first needed."""
    if not stylesheet.has_source(str(path), ""):
        stylesheet.read(path)
