"""Pictures of the app as a terminal shows it: those of the README and of docs/tour.md, or one of any screen.

`python scripts/pictures.py` trains and makes all in docs/pictures/; names choose some, of which only `start`, `train`
and `runs` need a training. `python scripts/pictures.py --press 2,o --out browse.png` shows the demo run after these
keys.
Needs the font DejaVu Sans Mono (Debian: fonts-dejavu-core).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from tests.support.terminal import Terminal  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
WIDTH, HEIGHT = 9, 18  # pixels of a character cell
FOREGROUND, BACKGROUND = "d0d0d0", "121212"
MARGIN, BAR = 10, 40  # pixels around the screen; of the window's title bar
LINES = {"─": "lr", "━": "LR", "╸": "L", "╺": "R", "│": "ud"}
ARCS = {"╭": (1, 1), "╮": (-1, 1), "╰": (1, -1), "╯": (-1, -1)}
"""To which sides, right and down, an arc leads."""
QUADRANTS = {"▖": "c", "▗": "d", "▘": "a", "▙": "acd", "▚": "ad", "▛": "abc", "▜": "abd", "▝": "b", "▞": "bc",
             "▟": "bcd", "▀": "ab", "▄": "cd", "█": "abcd", "▌": "ac", "▐": "bd"}  # fmt: skip


def draw(screen: pyte.Screen) -> Image.Image:
    """The screen as a terminal would paint it."""
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
    elif sign in ARCS:
        draw_arc(pen, middle, centre, *ARCS[sign], fore)
    elif "\u2800" <= sign <= "\u28ff":
        for bit, (across, down) in enumerate(((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))):
            if ord(sign) >> bit & 1:
                cx, cy = x + WIDTH * (2 * across + 1) / 4, y + HEIGHT * (2 * down + 1) / 8
                pen.ellipse((cx - 1.5, cy - 1.5, cx + 1.5, cy + 1.5), fill=fore)
    elif sign.strip():
        pen.text((x, y), sign, font=font, fill=fore)


def draw_arc(pen: ImageDraw.ImageDraw, x: int, y: int, right: int, down: int, fore: str) -> None:
    """From the middle of one edge of a cell to that of another; `x`, `y` are its centre."""
    radius = WIDTH // 2
    cx, cy = x + right * radius, y + down * radius
    start = {(1, 1): 180, (-1, 1): 270, (-1, -1): 0, (1, -1): 90}[right, down]
    pen.arc((cx - radius, cy - radius, cx + radius, cy + radius), start, start + 90, fill=fore)
    pen.line((x, cy, x, y + down * (HEIGHT // 2)), fill=fore)


def frame(screen: Image.Image, title: str) -> Image.Image:
    """The window of a terminal around it."""
    image = Image.new("RGB", (screen.width + 2 * MARGIN, screen.height + BAR + MARGIN), f"#{BACKGROUND}")
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, 13)
    pen.rectangle((0, 0, image.width, BAR - 8), fill="#262626")
    for number, colour in enumerate(("#ff5f5f", "#ffd75f", "#87d787")):
        pen.ellipse((14 + 20 * number, 9, 25 + 20 * number, 20), fill=colour)
    pen.text(((image.width - pen.textlength(title, font)) / 2, 6), title, font=font, fill="#9e9e9e")
    image.paste(screen, (MARGIN, BAR))
    return image


def save(terminal: Terminal, file: Path) -> None:
    """Once the screen has come to rest, as far as it does."""
    time.sleep(3)
    frame(draw(terminal.screen), "tui-vae").save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1000:.0f} KB")


def show_browse(terminal: Terminal) -> None:
    terminal.press("2")
    terminal.until("mse 0.")
    terminal.press("o")
    terminal.until("measured now")
    terminal.press("g")  # the cursor has stayed on its image, which is not the worst


def show_large(terminal: Terminal) -> None:
    show_browse(terminal)
    terminal.press("enter")
    terminal.until("difference")


def show_latent(terminal: Terminal) -> None:
    terminal.press("3")
    terminal.until(lambda text: "being loaded" not in text and "%" in text)


def show_traverse(terminal: Terminal) -> None:
    show_latent(terminal)
    terminal.press("v", "v")


def show_kl(terminal: Terminal) -> None:
    show_latent(terminal)
    terminal.press("V")
    terminal.until(lambda text: "KL of each dimension" in text and "being computed" not in text)


def show_form(terminal: Terminal) -> None:
    terminal.press("n")
    terminal.until("parameters")


def show_runs(terminal: Terminal) -> None:
    terminal.press("4")
    terminal.until("fashion-1")
    terminal.press("m", "up", "m")


OF_DEMO = {"browse": show_browse, "large": show_large, "latent": show_latent, "traverse": show_traverse,
           "kl": show_kl, "runs": show_runs, "form": show_form}  # fmt: skip
NAMES = ("start", "train", *OF_DEMO)


def train(wanted: Sequence[str]) -> None:
    """Train `fashion-1` into its sixth epoch, which the picture `train` shows; `runs` compares it, `start` lists it."""
    with window("train", "--detach", "--name", "fashion-1", "--seed", "1", "--latent-dim", "16") as terminal:
        terminal.until("fashion-1")
        terminal.wait()
    try:
        with window("attach", "fashion-1") as terminal:
            terminal.until(lambda text: "training" in text and "epoch  6/" in text, 240)
            if "train" in wanted:
                save(terminal, PICTURES / "train.png")
    finally:
        with window("stop", "fashion-1") as terminal:
            terminal.wait(60)


def pictures(wanted: Sequence[str]) -> None:
    """The README's pictures of these names."""
    if {"start", "train", "runs"} & set(wanted):
        train(wanted)
    if "start" in wanted:
        with window("--no-warm") as terminal:
            terminal.until(lambda text: "≈" in text and "what demo has learnt" in text)
            save(terminal, PICTURES / "start.png")
            terminal.press("q")
            terminal.wait()
    for name in OF_DEMO:
        if name in wanted:
            os.environ["TUI_VAE_STATE"] = (
                f"{os.environ['XDG_RUNTIME_DIR']}/{name}"  # no picture before has chosen an order
            )
            with window("attach", "demo") as terminal:
                terminal.until("finished")
                OF_DEMO[name](terminal)
                save(terminal, PICTURES / f"{name}.png")
                leave(terminal)


def picture_after(keys: Sequence[str], file: Path) -> None:
    """The demo run's screen once these keys have been pressed."""
    with window("attach", "demo") as terminal:
        terminal.until("finished")
        for key in keys:
            terminal.press(key)
            terminal.until(lambda text: "being loaded" not in text)
        save(terminal, file)
        leave(terminal)


def leave(terminal: Terminal) -> None:
    terminal.press("escape")  # a dialog or a help would keep the keys to itself
    time.sleep(1)  # in which the app sees that no other key belongs to it
    terminal.press("1", "q")
    terminal.wait()


def window(*arguments: str) -> Terminal:
    command = [sys.executable, "-m", "tui_vae", *arguments]
    return Terminal(command, columns=150, rows=42, env={"COLORTERM": "truecolor"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all of them if none is named")
    parser.add_argument("--press", metavar="KEYS", help="one picture of the demo run after these keys, as in 2,o,enter")
    parser.add_argument("--out", type=Path, default=Path("screen.png"), help="its file (default: screen.png)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="tv-") as folder:
        os.environ |= {"XDG_RUNTIME_DIR": folder, "TUI_VAE_STATE": folder, "TUI_VAE_RUNS": f"{folder}/runs"}
        os.environ["TUI_VAE_CONFIG"] = f"{folder}/none.toml"
        shutil.copytree(ROOT / "checkpoints" / "demo", Path(folder, "runs", "demo"))
        if options.press is not None:
            picture_after(options.press.split(","), options.out)
        else:
            pictures(options.names or NAMES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
