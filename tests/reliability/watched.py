"""Very many epochs of a tiny run, with apps attached and detached: memory and descriptors stay, no epoch is lost.

`python -m tests.reliability.watched [--epochs 20000] [--folder PATH]`

One app stays from the beginning to the end; another opens the run, leaves, and opens it again, all the time. Both are
real apps in pseudo-terminals. Every few seconds the trainer's and the first app's private memory and open descriptors
are read; a straight line is fitted to those of the second half, when all buffers have their size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.reliability.table import Row, print_rows
from tests.support.terminal import Terminal
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.launch import start_training

TINY = {"name": "watched", "device": "cpu", "threads": 1, "precision": "float32", "train-limit": 96,
        "test-limit": 32, "hidden": "16", "latent-dim": 4, "batch-size": 96}  # fmt: skip

EVERY = 3.0
"""Seconds between two looks at the processes."""

ATTACHED = 15.0
"""Seconds that the second app stays."""

FLAT = {"trainer": 100.0, "app": 1000.0}
"""Bytes of memory that an epoch may cost: the app keeps every epoch in half a kilobyte, and an allocator rounds up."""


class Sample(NamedTuple):
    epoch: int
    memory: int
    descriptors: int


def look(pid: int, epoch: int) -> list[Sample]:
    """One sample; none of a process that is ending."""
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        return [
            Sample(epoch, int(line.split()[1]) * 1024, descriptors)
            for line in status.splitlines()
            if line.startswith("RssAnon:")
        ]
    return []


class Growth(NamedTuple):
    """By a straight line through the second half of the samples, an epoch."""

    memory: float
    descriptors: float
    from_to: str

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Growth:
        late = samples[len(samples) // 2 :]
        epochs = [sample.epoch for sample in late]
        if len(set(epochs)) < 2:
            return cls(0.0, 0.0, "too few epochs to say")
        memory = statistics.linear_regression(epochs, [each.memory for each in late]).slope
        descriptors = statistics.linear_regression(epochs, [each.descriptors for each in late]).slope
        first, last = late[0], late[-1]
        sizes = f"{first.memory / 2**20:.1f} to {last.memory / 2**20:.1f} MiB"
        return cls(memory, descriptors, f"{sizes}, {first.descriptors} to {last.descriptors} descriptors")

    def __str__(self) -> str:
        return f"{self.memory:+.0f} bytes and {self.descriptors:+.6f} descriptors an epoch ({self.from_to})"


class Progress:
    """The newest epoch of a run, by its log."""

    def __init__(self, directory: RunDirectory) -> None:
        self._tail = ev.LogTail(directory.events)
        self.epoch, self.events, self.state = 0, 0, ""

    def look(self) -> None:
        for event in self._tail.read_all():
            if isinstance(event, ev.EpochEvent):
                self.events += event.epoch != self.epoch
                self.epoch = event.epoch
            elif isinstance(event, ev.StateEvent):
                self.state = event.state


@contextmanager
def app(directory: RunDirectory) -> Iterator[Terminal]:
    command = [
        sys.executable,
        "-P",
        "-m",
        "tui_vae",
        "attach",
        directory.name,
        "--runs-dir",
        str(directory.path.parent),
    ]
    with Terminal(command, 120, 32) as terminal:
        terminal.until(directory.name, 120)
        yield terminal


def run(folder: Path, epochs: int) -> list[Row]:
    directory, _ = create_run(folder, make_config({**TINY, "epochs": epochs}))
    trainer = start_training(directory)
    progress, attached, shown = Progress(directory), 0, ""
    samples: dict[str, list[Sample]] = {"trainer": [], "app": []}
    began = time.monotonic()
    with app(directory) as first:
        while progress.state not in ("finished", "failed"):
            with app(directory) as second:
                until = time.monotonic() + ATTACHED
                while time.monotonic() < until and trainer.poll() is None:
                    time.sleep(EVERY)
                    progress.look()
                    samples["trainer"] += look(trainer.pid, progress.epoch)
                    samples["app"] += look(first.pid, progress.epoch)
                second.press("q")
                assert second.wait(30) == 0
                attached += 1
            progress.look()
            print(
                f"epoch {progress.epoch:6}  {samples['trainer'][-1:]} {samples['app'][-1:]}",
                file=sys.stderr,
                flush=True,
            )
        shown = first.until(f"{epochs}/{epochs}", 60)
        first.press("q")
        assert first.wait(30) == 0
    trainer.wait(60)
    return _rows(directory, epochs, attached, samples, progress, time.monotonic() - began, bool(shown))


def _rows(
    directory: RunDirectory, epochs: int, attached: int, samples: dict[str, list[Sample]], progress: Progress,
    seconds: float, shown: bool,
) -> list[Row]:  # fmt: skip
    known = [event.epoch for event in read_history(directory.events).epochs]
    whole = known == list(range(1, epochs + 1)) and progress.events == epochs and shown
    fault = f"{epochs:,} epochs in {seconds / 60:.0f} minutes, an app attached and detached {attached} times"
    outcome = "every epoch is in the log once, and the app shows the last" if whole else "EPOCHS MISSING"
    rows = [Row(fault, "watched", 1, outcome, "nothing" if whole else "epochs")]
    for name, found in samples.items():
        growth = Growth.of(found)
        flat = growth.memory < FLAT[name] and abs(growth.descriptors) < 1e-4
        rows.append(
            Row(f"the same, memory of the {name}", "watched", len(found), str(growth), "nothing" if flat else "GROWS")
        )
    size = directory.events.stat().st_size
    rows.append(Row("the same, the log", "watched", 1, f"{size / epochs:.0f} bytes an epoch", "nothing"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.watched", description="Watch a very long run.")
    parser.add_argument("--epochs", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watched-") as folder:
        rows = run(Path(folder), options.epochs)
    print_rows(rows)
    return any(row.lost != "nothing" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
