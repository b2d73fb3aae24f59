"""Every pane at every size and in every kind of terminal; and how the panes look, as stored text.

`pytest tests/ui/test_screens.py --update-snapshots` stores the screens anew.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.pilot import Pilot

from tests.support import fake_run
from tests.support.fake_run import CLASSES, FakeProcess, make_run
from tests.support.latent_process import LatentProcess
from tests.support.piloting import in_event_loop, until
from tests.support.terminal import Terminal
from tui_vae.runs.events import StepEvent
from tui_vae.ui import run_progress, theme
from tui_vae.ui.app import TuiVae
from tui_vae.ui.images.halfblocks import DIFFERENCE_256
from tui_vae.ui.run_screen import RunScreen

SNAPSHOTS = Path(__file__).with_name("snapshots")
SIZES = ((120, 40), (80, 24), (200, 60))


@dataclass(frozen=True)
class View:
    """What keys open, and what stands there at any size."""

    keys: tuple[str, ...]
    pane: str
    wanted: str
    gone: str = ""
    """What stood there before, and must not any more."""
    back: tuple[str, ...] = ()
    """Keys that lead back to the pane, where only `gone` or `wanted` tells that they did."""
    dialog: bool = False


PANES = (
    View(("1",), "Train", "KL"),
    View(("2",), "Browse", "mse 0."),
    View(("3",), "Latent", "plane"),
    View(("4",), "Runs", "fashion-1"),
)
HELP = View(("?",), "Help", "Show the selected run", back=("escape",), dialog=True)
STOP = View(("x",), "Stop", "Stop fashion-1?", back=("escape",), dialog=True)
NEW_RUN = View(("n",), "New run", "copy command", back=("escape",), dialog=True)
VIEWS = {
    "Train": (
        View(("v",), "Train", "bits a pixel", gone="accuracy", back=("v",)),
        View(("z",), "Train", "reconstruction", gone="accuracy", back=("z",)),
        View(("P",), "Gallery", "original above", gone="accuracy", back=("P", "P")),
        View(("left",), "Train", "escape leaves the cursor", back=("escape",)),
        View(("w",), "Train", "back to the curves", back=("escape",)),
        View(("?",), "Help", "Show the chosen panel alone", back=("escape",), dialog=True),
    ),
    "Browse": (
        View(("enter",), "Browse", "too bright", back=("escape",)),
        View(("t",), "Browse", "frame ", back=("escape",)),
        View(("W",), "Browse", "mean squared error", back=("escape",)),
        View((":",), "Go to", "Go to a test image", back=("escape",), dialog=True),
        View(("?",), "Help", "Play how the preview images were learnt", back=("escape",), dialog=True),
    ),
    "Latent": (
        View((), "Latent", "main directions 1 and 2"),
        View(("v",), "Latent", "at the prior's quantiles"),
        View(("v",), "Latent", "nats"),
        View(("v",), "Latent", "1.00"),
        View(("v",), "Latent", "from the fitted Gaussian"),
        View(("S",), "Latent", "from the prior N(0, I)"),
        View(("v",), "Latent", "deviation of the mean"),
        View(("?",), "Help", "Dimensions by their number", back=("escape",), dialog=True),
    ),
    "Runs": (
        View(("m", "up", "m"), "Runs", "config, where they differ"),
        View(("E",), "Export", "metrics", back=("escape",), dialog=True),
        View(("D",), "Delete", "Delete fashion-", back=("escape",), dialog=True),
        View(("ctrl+p",), "Palette", "Search for commands", back=("escape",), dialog=True),
    ),
}
"""What each pane shows besides what it opens with, in the order in which it is visited."""

STYLE = re.compile(rb"\x1b\[([\d;]*)m")


class Recorded(Terminal):
    """Keeps everything the program sends."""

    def __init__(self, runs_dir: Path, colour: str, env: dict[str, str], *command: str) -> None:
        self.raw = b""
        argv = [sys.executable, "-m", "tui_vae", *command, "--runs-dir", str(runs_dir), "--color", colour]
        super().__init__(argv, *SIZES[0], env=env)

    def heard(self, data: bytes) -> None:
        self.raw += data
        super().heard(data)

    def colours(self) -> Iterator[tuple[str, ...]]:
        """Of every style that was sent: `("38", "5", "215")`, `("48", "2", "18", "18", "18")`, `("31",)`."""
        for codes in STYLE.findall(self.raw):
            rest = codes.decode().split(";")
            while rest and rest[0]:
                taken = 1 if rest[0] not in ("38", "48") else 3 if rest[1] == "5" else 5
                if (rest[0][0] in "349" and len(rest[0]) == 2) or rest[0].startswith("10"):
                    yield tuple(rest[:taken])
                rest = rest[taken:]


MODES: dict[str, tuple[str, dict[str, str]]] = {
    "256": ("auto", {}),
    "true colour": ("auto", {"COLORTERM": "truecolor"}),
    "16": ("16", {}),
    "no colour": ("auto", {"NO_COLOR": "1"}),
    "ascii": ("auto", {"LANG": "C"}),
}


@contextmanager
def learning(process: FakeProcess) -> Iterator[None]:
    """Steps keep coming, as from a trainer."""
    over = threading.Event()

    def learn() -> None:
        while not over.wait(0.1):
            process.step += 1
            m = fake_run.figures_after(process.step / 235)
            process.log(StepEvent(epoch=8, step=process.step, images=256 * process.step, loss=m.loss, recon=m.recon,
                                  kl=m.kl, lr=2e-3, beta=1.0, images_per_s=26000.0))  # fmt: skip

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def complaint(text: str, view: View, size: tuple[int, int], mode: str) -> str:
    """What is wrong with a screen; nothing once it has been painted as it should be."""
    lines = text.split("\n")
    if len(lines) != size[1] or view.wanted.lower() not in text.lower():
        return f"{view.wanted!r} is missing"
    if view.gone and view.gone.lower() in text.lower():
        return f"{view.gone!r} is still there"
    if "\ufffd" in text or "Traceback" in text:
        return "it is broken"
    if mode == "ascii" and not text.isascii():
        return f"signs that are not ASCII: {sorted({sign for sign in text if not sign.isascii()})}"
    if view.dialog:
        return ""
    if "fashion-1" not in lines[0] or "training" not in lines[0]:
        return "the status line is missing"
    if "2 Browse" not in lines[1]:
        return "the tabs are missing"
    if not lines[-1].rstrip().endswith("leave"):
        return "the key bar is missing"
    if view.pane == "Train":
        left, right = ("+|", "+|") if mode == "ascii" else ("╭│╰", "╮│╯")
        torn = [line for line in lines[3:-1] if len(line) != size[0] or line[0] not in left or line[-1] not in right]
        if torn:
            return f"a frame is torn: {torn[0]}"
    return ""


def look(terminal: Terminal, mode: str, view: View, size: tuple[int, int]) -> None:
    """Wait until the screen is painted as it should be."""
    try:
        terminal.until(lambda text: not complaint(text, view, size, mode), 30)
    except AssertionError:
        text = terminal.text()
        why = complaint(text, view, size, mode)
        raise AssertionError(f"{view.pane} at {size} with {mode}: {why}\n{text}") from None


def visit(terminals: dict[str, Recorded], view: View, sizes: Sequence[tuple[int, int]]) -> None:
    """Open a view, look at it at these sizes in every terminal, and go back."""
    for terminal in terminals.values():
        terminal.press(*view.keys)
    for size in sizes:
        for terminal in terminals.values():
            terminal.resize(*size)
        for mode, terminal in terminals.items():
            look(terminal, mode, view, size)
    for terminal in terminals.values() if view.back else ():
        terminal.press(*view.back)
        terminal.until(lambda text: is_back(text, view))


def is_back(text: str, view: View) -> bool:
    """Whether a view was left, for the pane that it belongs to."""
    there = view.gone.lower() in text.lower() if view.gone else view.wanted.lower() not in text.lower()
    return there and "2 Browse" in text


@pytest.mark.parametrize(
    "modes",
    [
        pytest.param(("256", "ascii"), marks=pytest.mark.slow),
        pytest.param(("true colour", "16", "no colour"), marks=pytest.mark.long),
    ],
    ids="+".join,
)
def test_every_view_in_every_terminal(tmp_path: Path, modes: Sequence[str]) -> None:
    """While training: nothing breaks, nothing leaves its place, and only what the terminal can show is sent.

    What a pane opens with is looked at in every size, its other views in the largest: it shows most.
    """
    run = make_run(tmp_path, state="training")
    make_run(tmp_path, "fashion-2", epochs=3, planned=5)
    with ExitStack() as stack:
        stack.enter_context(learning(stack.enter_context(LatentProcess(run))))
        attach = "attach", "fashion-1"
        terminals = {mode: stack.enter_context(Recorded(tmp_path, *MODES[mode], *attach)) for mode in modes}
        for terminal in terminals.values():
            terminal.until("2 Browse")
        for pane in PANES:
            visit(terminals, pane, SIZES)
            for view in VIEWS[pane.pane]:
                visit(terminals, view, SIZES[2:])
        for dialog in (HELP, STOP, NEW_RUN):
            visit(terminals, dialog, SIZES[:2])
        for terminal in terminals.values():
            terminal.until(lambda text: "leave" in text.split("\n")[-1])
            terminal.press("q")
        for terminal in terminals.values():
            assert terminal.wait() == 0

    for mode, terminal in terminals.items():
        check_colours(mode, set(terminal.colours()))


def check_colours(mode: str, sent: set[tuple[str, ...]]) -> None:
    """Only colours that this kind of terminal has, and on the ground only those of the theme."""
    in_24_bits = any(colour[1:2] == ("2",) for colour in sent)
    match mode:
        case "no colour":
            assert not sent
        case "16":
            assert sent and all(len(colour) == 1 for colour in sent)
        case "true colour":
            assert in_24_bits
        case "256":
            assert not in_24_bits
            grounds = {int(colour[2]) for colour in sent if colour[0] == "48"}
            assert grounds and grounds <= set(palette()), f"not of the theme: {sorted(grounds - set(palette()))}"


@pytest.mark.slow
def test_the_start_screen_in_every_terminal(tmp_path: Path) -> None:
    make_run(tmp_path, "fashion-1")
    start = View((), "Start", "describe a run", dialog=True)
    with ExitStack() as stack:
        terminals = {mode: stack.enter_context(Recorded(tmp_path, *how)) for mode, how in MODES.items()}
        visit(terminals, start, SIZES)


def palette() -> Iterator[int]:
    """The numbers, in 256 colours, of the theme's colours, of the map of differences, and of all greys."""
    dark = theme.for_terminal(theme.DARK, "256")
    yield from (0, 16, 59, 102, 145, 188, 231, *range(232, 256))
    differences = {"#{:02x}{:02x}{:02x}".format(*colour) for colour in DIFFERENCE_256}
    for name in (
        dark.primary,
        dark.accent,
        dark.success,
        dark.warning,
        dark.error,
        *dark.variables.values(),
        *differences,
    ):
        if name is not None and name.startswith("#"):
            number = Color.parse(name).downgrade(ColorSystem.EIGHT_BIT).number
            assert number is not None
            yield number


NOW = 1_750_000_000.0


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world in which no time passes, with the same images and no processor."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(run_progress, "device", lambda history: "cpu EPYC")
    monkeypatch.setattr(fake_run, "images", discs)


def discs() -> list[bytes]:
    """Test images of every class: discs, the larger the higher the class."""
    return [
        bytes(
            255 if (x - 14) ** 2 + (y - 14) ** 2 < (4 + at % len(CLASSES)) ** 2 else 0
            for y in range(fake_run.SIDE)
            for x in range(fake_run.SIDE)
        )
        for at in range(fake_run.TEST_IMAGES)
    ]


def screen_text(app: TuiVae) -> str:
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in rows) + "\n"


async def settled(pilot: Pilot[str], app: TuiVae, wanted: str, rest: float = 0.4) -> str:
    """The screen, once it shows this and has not changed for `rest` seconds."""
    await until(pilot, lambda: wanted.lower() in screen_text(app).lower())
    before = ""
    while before != (text := screen_text(app)):
        before = text
        await pilot.pause(rest)
    return text


@in_event_loop
async def test_the_panes_look_as_they_did(
    tmp_path: Path, still: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text alone: colours, and what is drawn at other sizes, are looked at above."""
    differing: list[str] = []

    def compare(name: str, text: str) -> None:
        # A scroll bar's length says how long a list is below what is seen: the help has the keys of the moment.
        text = re.sub("[▁▂▃▄▅▆▇█] │$", "  │", text, flags=re.MULTILINE)
        file = SNAPSHOTS / f"{name}.txt"
        if request.config.getoption("--update-snapshots"):
            SNAPSHOTS.mkdir(exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            differing.append(f"{name} is now:\n{text}")

    monkeypatch.setenv("TUI_VAE_RUNS", str(tmp_path))  # so that commands do not name it
    run = make_run(tmp_path, t=NOW)
    start = TuiVae(tmp_path)
    async with start.run_test(size=(80, 24)) as pilot:
        compare("start", await settled(pilot, start, "fashion-1"))
    with LatentProcess(run, "serve"):
        app = TuiVae(tmp_path, run)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.pane is not None)
            for view in (*PANES, HELP, NEW_RUN):
                await pilot.press(*("question_mark" if key == "?" else key for key in view.keys))
                # What lies under the help is drawn anew every two seconds.
                rest = 2.5 if view is HELP else 0.4
                compare(view.pane.lower().replace(" ", "-"), await settled(pilot, app, view.wanted, rest))
                await pilot.press(*view.back)
            await pilot.press("1")
            await pilot.resize_terminal(80, 24)
            compare("train-80x24", await settled(pilot, app, "KL"))
    assert not differing, "\n".join(differing)
