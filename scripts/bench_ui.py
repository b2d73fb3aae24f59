"""What watching costs: `python scripts/bench_ui.py [NAME …]` measures the app in a real terminal, and says what holds.

Times are medians; what a noisy machine spoils is a ratio to something measured in turn with it. Nothing else should
run meanwhile. `--json` prints the rows as JSON lines; without names everything is measured, in about six minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from long_runs import EPOCHS, STEPS, make_epochs, make_long  # noqa: E402
from training_rate import training_rate  # noqa: E402
from watched_terminal import Watched  # noqa: E402

from tests.support.fake_run import make_run  # noqa: E402
from tui_vae.config import make_config  # noqa: E402
from tui_vae.runs import launch  # noqa: E402
from tui_vae.runs.create import create_run  # noqa: E402
from tui_vae.runs.directory import RunDirectory  # noqa: E402
from tui_vae.runs.events import LogTail, StepEvent  # noqa: E402
from tui_vae.runs.history import read_history  # noqa: E402

TUI_VAE = (sys.executable, "-m", "tui_vae")
EMPTY_APP = (sys.executable, "-c", "from textual.app import App; App().run()")
IMPORT_TORCH = (sys.executable, "-c", "import torch")
BRAILLE = re.compile(r"[\u2801-\u28ff]")
ROUNDS = 9
"""Times that each short measurement is made: an odd number, so that the median is one of them."""


@dataclass(frozen=True)
class Row:
    """A figure beside what is promised of it."""

    what: str
    value: float
    unit: str
    target: float
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.value < self.target

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "MISSED"
        figure, target = f"{self.value:.4g} {self.unit}".strip(), f"< {self.target:g} {self.unit}".strip()
        return f"{self.what:<46}{figure:>12}   {target:<12}{verdict:<8}{self.note}"


def has(*wanted: str) -> Callable[[str], bool]:
    return lambda text: all(each in text for each in wanted)


def ms(seconds: Sequence[float]) -> float:
    return 1000 * statistics.median(seconds)


def ratio(ours: Sequence[float], base: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(ours, base, strict=True))


def timed(argv: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def spread(seconds: Sequence[float]) -> str:
    return f"min {1000 * min(seconds):.0f}, max {1000 * max(seconds):.0f} ms over {len(seconds)}"


@contextmanager
def training(runs: Path) -> Iterator[RunDirectory]:
    """A run of the default recipe at full speed, as the app starts one, that goes on for as long as it is wanted."""
    directory, _ = create_run(runs, make_config({"name": "steady", "epochs": 100_000}))
    process = launch.start_training(directory, leave_core=True)
    assert process is not None
    try:
        while not any(isinstance(event, StepEvent) for event in LogTail(directory.events).read_all()):
            assert process.poll() is None, directory.log.read_text()
            time.sleep(0.1)
        time.sleep(5)
        yield directory
    finally:
        process.kill()
        process.wait()


def first_paint(runs: Path) -> Iterator[Row]:
    """Start screen and attach against an empty Textual app, in turn."""
    make_run(runs, "done")
    found: dict[str, list[float]] = {"empty": [], "start": [], "attach": []}
    for _ in range(ROUNDS):
        for name, argv, like in (
            ("empty", EMPTY_APP, None),
            ("start", (*TUI_VAE, "--runs-dir", str(runs / "none")), has("FashionMNIST")),
            ("attach", (*TUI_VAE, "attach", "done", "--runs-dir", str(runs)), has("1 Train", "2 Browse")),
        ):
            with Watched(argv, like=like) as terminal:
                found[name].append(terminal.seconds())
                time.sleep(0.3)
    base = f"an empty app: {ms(found['empty']):.0f} ms"
    for name, what in (("start", "start screen"), ("attach", "attach")):
        note = f"{ms(found[name]):.0f} ms; {base}"
        yield Row(f"first paint, {what} / empty app", ratio(found[name], found["empty"]), "×", 2, note)


def commands(runs: Path) -> Iterator[Row]:
    """The quick commands."""
    for number in range(200):
        make_run(runs, f"run-{number}", epochs=2)
    for argv, target, what in (
        (("--help",), 150, "tui-vae --help"),
        (("ls", "--runs-dir", str(runs)), 400, "tui-vae ls, 200 runs"),
    ):
        took = [timed((*TUI_VAE, *argv)) for _ in range(ROUNDS)]
        bare = [timed((sys.executable, "-c", "")) for _ in range(ROUNDS)]
        yield Row(what, ms(took), "ms", target, f"{spread(took)}; Python itself {ms(bare):.0f} ms")


def first_step(runs: Path) -> Iterator[Row]:
    """From the key on the start screen to the first training step in the log, against importing torch, in turn."""
    for option, target in (((), 0.15), (("--no-warm",), 2)):
        took, torch = [], []
        for number in range(3):
            torch.append(timed(IMPORT_TORCH))
            rest = 2 if option else 2 + 4 * torch[-1]
            took.append(seconds_to_first_step(runs / f"first-{number}{len(option)}", option, rest))
        yield Row(" ".join(("key to first step / import torch", *option)), ratio(took, torch), "×", target,
                  f"{ms(took):.0f} ms; importing torch {ms(torch):.0f} ms")  # fmt: skip


def seconds_to_first_step(mine: Path, options: Sequence[str], rest: float) -> float:
    """`rest`: seconds for which the start screen is open."""
    with Watched((*TUI_VAE, "--runs-dir", str(mine), *options), like=has("FashionMNIST")) as terminal:
        try:
            terminal.seconds()
            time.sleep(rest)
            began = time.time()
            terminal.press("enter")
            while not (steps := [event for path in mine.glob("*/events.jsonl") for event in LogTail(path).read_all()
                                 if isinstance(event, StepEvent)]):  # fmt: skip
                assert time.time() - began < 90, terminal.text()
                time.sleep(0.02)
            return steps[0].t - began
        finally:
            end_processes(mine)


def end_processes(runs: Path) -> None:
    for path in runs.iterdir():
        holder = RunDirectory(path).holder()
        if holder is not None and holder.pid:
            os.kill(holder.pid, signal.SIGTERM)


def keys(runs: Path) -> Iterator[Row]:
    """Key to repaint while training: the cursor on the charts, log scales, the help."""
    dice = random.Random(0)
    found: dict[str, list[float]] = {"cursor": [], "help": [], "log scale": []}
    with training(runs) as run, Watched((*TUI_VAE, "attach", run.name, "--runs-dir", str(runs))) as terminal:
        terminal.until(lambda text: bool(BRAILLE.search(text)))
        terminal.key("left", has("escape leaves"))
        for number in range(120):
            time.sleep(dice.uniform(0.15, 0.4))
            if number < 40:
                key = "left" if number < 20 else "right"
                found["cursor"].append(terminal.key(key, changed(readout, terminal.text())))
            elif number < 80:
                found["help"].append(terminal.key("?", has("Look closer")))
                terminal.key("escape", lambda text: "Look closer" not in text)
            else:
                found["log scale"].append(terminal.key("l", changed(scale, terminal.text())))
        speed = read_history(run.events).steps["images_per_s"][-1]
    for name, took in found.items():
        yield percentile_row(f"key to repaint while training, {name}", took, f"; training at {speed:,.0f} images/s")


def readout(text: str) -> str:
    """The place that the cursor reads."""
    found = re.search(r"step [\d,]+.*escape leaves", text)
    return found[0] if found else ""


def scale(text: str) -> str:
    """The scale of the charts' first row, as the frames name it."""
    return "log" if " log " in text.splitlines()[3] else "linear"


def changed(read: Callable[[str], str], before: str) -> Callable[[str], bool]:
    """Whether a reading of the screen is there and another than it was."""
    was = read(before)
    return lambda text: read(text) not in ("", was)


def percentile_row(what: str, took: Sequence[float], more: str = "", limit: float = 60) -> Row:
    ordered = sorted(1000 * each for each in took)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return Row(f"{what}, p95", p95, "ms", limit,
               f"p50 {statistics.median(ordered):.0f}, max {ordered[-1]:.0f} ms over {len(ordered)}{more}")  # fmt: skip


def latent(runs: Path) -> Iterator[Row]:
    """Key to decoded image on the plane of the Latent pane, while training."""
    dice, took = random.Random(0), []
    with training(runs) as run, Watched((*TUI_VAE, "attach", run.name, "--runs-dir", str(runs))) as terminal:
        terminal.until(lambda text: bool(BRAILLE.search(text)))
        terminal.key("3", has("z at ("))
        time.sleep(3)
        for number in range(80):
            time.sleep(dice.uniform(0.25, 0.55))
            key = "right" if number // 10 % 2 == 0 else "left"
            took.append(terminal.key(key, changed(place_of, terminal.text())))
    yield percentile_row("Latent cursor to decoded image while training", took, limit=100)


def place_of(text: str) -> str:
    """Where the image was decoded that is on screen; it is told with the image."""
    found = re.search(r"z at \([^)]*\)", text)
    return found[0] if found else ""


def watching(runs: Path) -> Iterator[Row]:
    """Training speed beside the app's Train view, and while that is halted (SIGSTOP), in turn; and what the app takes.

    Halting takes the app's own start out of the figures. Other work on the machine slows both alike.
    """
    alone, watched, took = [], [], []
    with training(runs) as run, Watched((*TUI_VAE, "attach", run.name, "--runs-dir", str(runs))) as terminal:
        terminal.until(lambda text: bool(BRAILLE.search(text)))
        app, tail = psutil.Process(terminal.pid), LogTail(run.events)
        training_rate(tail, 5)
        for _ in range(ROUNDS):
            app.suspend()
            training_rate(tail, 0.5)
            alone.append(training_rate(tail, 4))
            app.resume()
            training_rate(tail, 1)
            before = sum(app.cpu_times()[:2])
            watched.append(training_rate(tail, 4))
            took.append((sum(app.cpu_times()[:2]) - before) / 4)
    yield Row("training alone / with the app attached", ratio(alone, watched), "×", 1.03,
              f"{statistics.median(alone):,.0f} and {statistics.median(watched):,.0f} images/s")  # fmt: skip
    yield Row("processor time of the app, Train view", 100 * statistics.median(took), "%", 5, "of one core")


def bytes_sent(runs: Path) -> Iterator[Row]:
    """What a steady Train view sends while training."""
    with training(runs) as run, Watched((*TUI_VAE, "attach", run.name, "--runs-dir", str(runs))) as terminal:
        terminal.until(lambda text: bool(BRAILLE.search(text)))
        time.sleep(5)
        before, began = terminal.sent, time.perf_counter()
        time.sleep(20)
        rate = (terminal.sent - before) / (time.perf_counter() - began) / 1000
    yield Row("steady Train view, 120×40, 256 colours", rate, "KB/s", 15)


def page(runs: Path) -> Iterator[Row]:
    """What a page turn of Browse sends, at three sizes."""
    shutil.copytree(ROOT / "checkpoints" / "demo", runs / "demo")
    for size in ((120, 40), (160, 48), (200, 60)):
        with Watched((*TUI_VAE, "attach", "demo", "--runs-dir", str(runs)), size) as terminal:
            terminal.until("finished")
            terminal.press("2")
            terminal.until("mse 0.")
            turns, before = [], terminal.wait_until_quiet(1.5)
            for _ in range(10):
                terminal.press("pgdn")
                after = terminal.wait_until_quiet()
                turns.append((after - before) / 1000)
                before = after
        assert min(turns) > 1, "a page was not turned"
        yield Row(f"Browse page turn, {size[0]}×{size[1]}, 256 colours", statistics.median(turns), "KB", 60,
                  f"max {max(turns):.1f} KB")  # fmt: skip
    end_processes(runs)


def million(runs: Path) -> Iterator[Row]:
    """A run of a million steps: newest state, full curves, memory, a frame of a chart."""
    directory = make_long(runs)
    last = f"/{STEPS // 235 + 1}"
    yield from attach(directory, "1,000,000 steps", last, (1, 3, 200))
    frames = asyncio.run(chart_frames(directory))
    yield Row("1,000,000 steps: a frame of a chart", ms(frames), "ms", 15, spread(frames))


def epochs(runs: Path) -> Iterator[Row]:
    """A run of ten thousand epochs: newest state, full curves and table, memory."""
    yield from attach(make_epochs(runs), "10,000 epochs", f"{EPOCHS}/{EPOCHS}", (1, 1, 200))


def attach(run: RunDirectory, what: str, last: str, targets: tuple[float, float, float]) -> Iterator[Row]:
    """From the command to the newest epoch, `last`, and to all curves, in seconds; the app's memory then, in MB."""
    states, curves, memory = [], [], []
    command = (*TUI_VAE, "attach", run.name, "--runs-dir", str(run.path.parent))
    for _ in range(3):
        with Watched(command, like=has("finished", last)) as terminal:
            states.append(terminal.seconds())
            terminal.then(lambda text: bool(BRAILLE.search(text)) and "reading the log" not in text)
            curves.append(terminal.seconds())
            terminal.wait_until_quiet()
            memory.append(psutil.Process(terminal.pid).memory_info().rss / 1e6)
    size = f"log of {run.events.stat().st_size / 1e6:.0f} MB"
    yield Row(f"{what}: attach to the newest state", statistics.median(states), "s", targets[0], size)
    yield Row(f"{what}: attach to the full curves", statistics.median(curves), "s", targets[1])
    yield Row(f"{what}: memory of the app", max(memory), "MB", targets[2])


async def chart_frames(directory: RunDirectory) -> list[float]:
    """Seconds a chart takes when a step has come, the dots drawn anew; measured in the app itself."""
    from tui_vae.ui.app import TuiVae
    from tui_vae.ui.charts import raster
    from tui_vae.ui.charts.widget import ChartWidget
    from tui_vae.ui.train.pane import TrainPane

    app = TuiVae(directory.path.parent, directory)
    took = []
    async with app.run_test(size=(120, 40)) as pilot:
        session = app.session
        assert session is not None
        while not (session.caught_up and app.screen.query(TrainPane) and app.screen.query_one(TrainPane)._ready):
            await pilot.pause(0.1)
        await pilot.pause(1)
        pane, steps = app.screen.query_one(TrainPane), session.history.steps
        for more in range(40):
            newest = {name: steps[name][-1] for name in steps.columns}
            newest |= {"step": newest["step"] + 1, "loss": newest["loss"] + more % 3}
            session.history.apply(msgspec.convert(newest, StepEvent, strict=False))
            raster.rasterize.cache_clear()
            began = time.perf_counter()
            pane.refresh_history()
            took.append((time.perf_counter() - began) / len(pane.query(ChartWidget)))
            await pilot.pause(0.02)
    return took


MEASUREMENTS = (first_paint, commands, first_step, keys, latent, watching, bytes_sent, page, million, epochs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    names = {each.__name__.replace("_", "-"): each for each in MEASUREMENTS}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(names)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no training is left behind
    held = True
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed app is not compiled anew at every start
    with tempfile.TemporaryDirectory(prefix="tv-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        os.environ["TUI_VAE_CONFIG"] = f"{folder}/none.toml"
        for name in options.names or names:
            runs = Path(folder, name)
            runs.mkdir()
            os.environ["TUI_VAE_STATE"] = f"{folder}/{name}-state"  # else it begins in the pane that was left last
            for row in names[name](runs):
                held &= row.holds
                print(json.dumps(asdict(row) | {"holds": row.holds}) if options.json else row, flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
