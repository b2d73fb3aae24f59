"""What training side by side gains: `python scripts/bench_sweep.py [--rounds 2] [TRAIN OPTION …]`.

A sweep of 6 runs of 3 epochs of 30,000 images as it stands against `--jobs 1`, alternating, wall time of the whole
command from its start to its end. The load of the machine is stated beside each, because anything else that runs there
counts against the first. Takes two minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from tui_vae.cli.sweep.places import cores_to_use

SWEEP = ("--epochs", "3", "--train-limit", "30000", "--seed", "0,1,2,3,4,5")


def seconds(options: tuple[str, ...]) -> float:
    """Wall time of one sweep in a directory of its own."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-P", "-m", "tui_vae", "sweep", "--runs-dir", runs, *SWEEP, *options]
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2, help="how often each takes its turn (2)")
    known, options = parser.parse_known_args()
    took: dict[str, list[float]] = {"auto": [], "1": []}
    print(f"6 runs of 3 epochs of 30,000 images, {cores_to_use()} cores; load: processes that ran in the minute before")
    for _ in range(known.rounds):
        for jobs, times in took.items():
            load = os.getloadavg()[0]
            times.append(seconds(("--jobs", jobs, *options)))
            print(f"--jobs {jobs:<4}  {times[-1]:6.1f} s   load {load:.1f}", flush=True)
    auto, one = (statistics.median(times) for times in took.values())
    print(f"medians: {auto:.1f} s against {one:.1f} s with --jobs 1: {one / auto:.2f} times shorter")


if __name__ == "__main__":
    main()
