"""How a data set larger than memory trains: `python scripts/large_data.py FOLDER [--images N] [--side S]`.

Writes an NPY file of N colour images of S × S pixels into the folder (1,000,000 of 64 × 64 have 12.3 GB, and the cache,
which is put beside it, as many), and trains a small network on it for one epoch on the CPU. Prints how long each part
took, the rate, and the trainer's most memory: its own (RssAnon), and with the pages of the mapped file, which the
kernel takes back when it needs them (VmHWM). Delete the folder afterwards.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # Python puts the folder of a script there, not the one above it

from tui_vae.config import make_config  # noqa: E402
from tui_vae.core.data.check import check_data  # noqa: E402
from tui_vae.runs import launch  # noqa: E402
from tui_vae.runs.create import create_run  # noqa: E402
from tui_vae.runs.history import read_history  # noqa: E402

CHUNK = 2000
"""Images that are made at once."""

OPTIONS = {
    "device": "cpu", "threads": 1, "precision": "float32", "hidden": "32", "latent-dim": 8, "batch-size": 512,
    "epochs": 1, "test-share": 0.02, "name": "large",
}  # fmt: skip


def make(file: Path, images: int, side: int) -> None:
    """Images with a bright square somewhere on noise, as an NPY file."""
    dice = np.random.default_rng(0)
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (images, side, side, 3))
    for start in range(0, images, CHUNK):
        some = dice.integers(0, 64, (min(CHUNK, images - start), side, side, 3), np.uint8)
        for image, (x, y) in zip(some, dice.integers(0, side // 2, (len(some), 2)), strict=True):
            image[y : y + side // 2, x : x + side // 2] += 128
        array[start : start + len(some)] = some
    array.flush()


def memory_of(pid: int) -> dict[str, float]:
    """Fields of the process's status, in gigabytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines if line.startswith(("VmHWM", "RssAnon"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--side", type=int, default=64)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    os.environ["TUI_VAE_CACHE"] = str(given.folder / "cache")
    file = given.folder / "images.npy"
    began = time.monotonic()
    if not file.exists():
        make(file, given.images, given.side)
    print(f"made in {time.monotonic() - began:.0f} s: {file.stat().st_size / 1e9:.1f} GB", flush=True)
    config = make_config({**OPTIONS, "dataset": str(file)})
    began = time.monotonic()
    check_data(config)
    print(f"split into the cache in {time.monotonic() - began:.0f} s", flush=True)
    run, _ = create_run(given.folder / "runs", config)
    began, own, mapped = time.monotonic(), 0.0, 0.0
    process = launch.start_training(run)
    while process.poll() is None:
        now = memory_of(process.pid)
        own, mapped = max(own, now.get("RssAnon", 0)), max(mapped, now.get("VmHWM", 0))
        time.sleep(0.1)
    history = read_history(run.events)
    if not history.epochs:
        raise SystemExit(run.output(2000))
    epoch = history.epochs[-1]
    print(f"trained in {time.monotonic() - began:.0f} s, {epoch.seconds:.0f} s the epoch")
    print(f"{epoch.images_per_s or 0:.0f} images a second")
    print(f"memory at most {own:.2f} GB of its own, {mapped:.2f} GB with pages of the file")


if __name__ == "__main__":
    main()
