"""How fast a training run answers, and what that costs it: `python scripts/bench_answers.py [TRAIN OPTION …]`.

A run trains on all cores while a client asks ten times a second, each kind of question in turn, for an epoch, or where
those are short, for some of them in a second; as long it is left alone, and so on. The seconds of these epochs and of
those are compared. Nothing else should run meanwhile. Takes two minutes; `--epochs` says how many at least.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tui_vae.runs import protocol
from tui_vae.runs.client import Caller
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EpochEvent, LogTail
from tui_vae.runs.float_arrays import encode_floats

EVERY = 0.1
"""Seconds between two requests: a person who holds a key down sends ten a second."""

STRETCH = 1.0
"""Seconds, at least, for which a client asks or does not: most of the epochs are then wholly of one kind, also where
they take 30 ms."""

ROUNDS = 3
"""How often each kind of question is asked at least: with fewer, a percentile says nothing."""

FOREVER = 10**6
"""Epochs of the run, which is stopped when enough were seen."""

CORES = len(os.sched_getaffinity(0))
"""Cores that the trainer and this script share; it is stated with the figures."""


def questions(latent: int) -> dict[str, tuple[protocol.AnyRequest, type[protocol.Reply]]]:
    """What Browse and Latent ask."""
    dice = np.random.default_rng(0)

    def z(count: int) -> bytes:
        return encode_floats(dice.normal(size=(count, latent)).astype(np.float32).data)

    return {
        "describe": (protocol.Describe(), protocol.Description),
        "10 pairs": (protocol.Reconstruct(indices=list(range(10))), protocol.Reconstructions),
        "100 pairs": (protocol.Reconstruct(indices=list(range(100))), protocol.Reconstructions),
        "decode 1": (protocol.Decode(z=z(1)), protocol.Images),
        "decode 77": (protocol.Decode(z=z(77)), protocol.Images),
        "40 from the prior": (protocol.Sample(count=40, source="prior"), protocol.Samples),
        "40 from the fitted": (protocol.Sample(count=40), protocol.Samples),
        "map": (protocol.Map(), protocol.LatentMap),
        "errors": (protocol.TestErrors(), protocol.Errors),
    }


def epochs(log: LogTail) -> list[EpochEvent]:
    return [event for event in log.read_all() if isinstance(event, EpochEvent)]


def percentiles(took: list[float]) -> str:
    ordered = sorted(1000 * each for each in took)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):8.0f}{p95:8.0f}{ordered[-1]:8.0f}"


def ask_and_leave_alone(directory: RunDirectory, log: LogTail, enough: int) -> Iterator[str]:
    caller, kinds = Caller(directory), questions(directory.read_config().latent_dim)
    took: dict[str, list[float]] = {name: [] for name in kinds}
    alone: list[float] = []
    asked: list[float] = []
    asking, count, since = False, 0, time.monotonic()
    epochs(log)
    while len(alone) + len(asked) < enough or count < ROUNDS * len(kinds):
        if fresh := epochs(log):
            (asked if asking else alone).extend(event.seconds for event in fresh)
            if time.monotonic() - since >= STRETCH:
                asking, since = not asking, time.monotonic()
        due = time.monotonic() + EVERY
        if asking:
            name = list(kinds)[count % len(kinds)]
            count += 1
            began = time.perf_counter()
            caller.ask(*kinds[name])
            took[name].append(time.perf_counter() - began)
        time.sleep(max(0.0, due - time.monotonic()))
    yield f"{'milliseconds to the answer':<28}{'p50':>8}{'p95':>8}{'most':>8}{'asked':>8}"
    for name, each in took.items():
        yield f"  {name:<26}{percentiles(each)}{len(each):>8}"
    yield f"  {'all':<26}{percentiles([each for kind in took.values() for each in kind])}{count:>8}"
    ratio = statistics.median(asked) / statistics.median(alone)
    yield (f"seconds an epoch, left alone {statistics.median(alone):.3f} ({len(alone)}), "
           f"asked {statistics.median(asked):.3f} ({len(asked)}): {ratio:.3f} ×")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    options, more = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no training is left behind
    with tempfile.TemporaryDirectory(prefix="tv-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        command = [sys.executable, "-m", "tui_vae", "train", "--detach", "--runs-dir", folder, "--name", "asked",
                   "--epochs", str(FOREVER), "--threads", str(CORES), *more]  # fmt: skip
        subprocess.run(command, check=True)
        directory = RunDirectory(Path(folder, "asked"))
        holder = directory.holder()
        assert holder is not None
        try:
            log = LogTail(directory.events)
            while not epochs(log):
                time.sleep(0.05)
            for line in ask_and_leave_alone(directory, log, options.epochs):
                print(line, flush=True)
        finally:
            os.kill(holder.pid, signal.SIGTERM)
            while directory.holder() is not None:
                time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
