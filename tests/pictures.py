"""The README's pictures: `python tests/pictures.py` runs the app on the demonstration run in a terminal and saves PNGs.

Needs the font DejaVu Sans Mono (Debian: fonts-dejavu-core).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont
from terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "tests" / "pictures"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
WIDTH, HEIGHT = 9, 18  # pixels of a character cell
FOREGROUND, BACKGROUND = "d0d0d0", "121212"
LINES = {"─": "lr", "━": "LR", "╸": "L", "╺": "R", "│": "ud", "╭": "dr", "╮": "dl", "╰": "ur", "╯": "ul"}
QUADRANTS = {"▖": "c", "▗": "d", "▘": "a", "▙": "acd", "▚": "ad", "▛": "abc", "▜": "abd", "▝": "b", "▞": "bc",
             "▟": "bcd", "▀": "ab", "▄": "cd", "█": "abcd", "▌": "ac", "▐": "bd"}  # fmt: skip


def draw(screen: pyte.Screen) -> Image.Image:
    """The screen as a terminal with square corners would paint it."""
    image = Image.new("RGB", (screen.columns * WIDTH, screen.lines * HEIGHT), f"#{BACKGROUND}")
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, 15)
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            fore = f"#{FOREGROUND if cell.fg == 'default' else cell.fg}"
            back = f"#{BACKGROUND if cell.bg == 'default' else cell.bg}"
            if cell.reverse:
                fore, back = back, fore
            draw_cell(pen, font, cell.data, column * WIDTH, row * HEIGHT, fore, back)
    return image


def draw_cell(
    pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, sign: str, x: int, y: int, fore: str, back: str
) -> None:
    pen.rectangle((x, y, x + WIDTH - 1, y + HEIGHT - 1), fill=back)
    middle, centre = x + WIDTH // 2, y + HEIGHT // 2
    if sign in QUADRANTS:
        for corner in QUADRANTS[sign]:
            left, right = (x, middle - 1) if corner in "ac" else (middle, x + WIDTH - 1)
            top, bottom = (y, centre - 1) if corner in "ab" else (centre, y + HEIGHT - 1)
            if sign in "▀▄█":
                left, right = x, x + WIDTH - 1
            pen.rectangle((left, top, right, bottom), fill=fore)
    elif sign in LINES:
        for end in LINES[sign]:
            thick = 1 if end.isupper() else 0
            match end.lower():
                case "l":
                    pen.rectangle((x, centre - thick, middle, centre + thick), fill=fore)
                case "r":
                    pen.rectangle((middle, centre - thick, x + WIDTH - 1, centre + thick), fill=fore)
                case "u":
                    pen.line((middle, y, middle, centre), fill=fore)
                case _:
                    pen.line((middle, centre, middle, y + HEIGHT - 1), fill=fore)
    elif "\u2800" <= sign <= "\u28ff":
        for bit, (across, down) in enumerate(((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))):
            if ord(sign) >> bit & 1:
                cx, cy = x + WIDTH * (2 * across + 1) / 4, y + HEIGHT * (2 * down + 1) / 8
                pen.ellipse((cx - 1.5, cy - 1.5, cx + 1.5, cy + 1.5), fill=fore)
    elif sign.strip():
        pen.text((x, y), sign, font=font, fill=fore)


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    for name in ("XDG_RUNTIME_DIR", "TUI_VAE_STATE"):
        os.environ[name] = tempfile.mkdtemp()
    command = [sys.executable, "-m", "tui_vae", "--runs-dir", str(ROOT / "checkpoints"), "attach", "demo"]
    with Terminal(command, columns=132, rows=40, env={"COLORTERM": "truecolor"}) as terminal:
        terminal.until("finished")
        time.sleep(2)
        draw(terminal.screen).save(PICTURES / "train.png", optimize=True)
        terminal.press("2")
        terminal.until("mse 0.")
        terminal.press("o")
        terminal.until("worst first")
        time.sleep(4)
        draw(terminal.screen).save(PICTURES / "browse.png", optimize=True)
        terminal.press("q")
        terminal.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
