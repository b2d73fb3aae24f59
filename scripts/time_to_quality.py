"""Seconds of training to a figure of the test images: the presets `adam` and `quick`, and the ordinary loop, in turn.

    python scripts/time_to_quality.py [--until bits=6.74] [--rounds 3] [--threads N] [--precision P] [--ways adam,quick]

Prints each round, then medians and their ratios. `adam` is the default recipe of version 0.1. The ordinary loop
(`tui_vae/trainer/ordinary_loop.py`) trains the same network with Adam, as people write it. Seconds are those of the
epochs, each one's evaluation included; the command's, from its start with the import of PyTorch, stand beside them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # Python puts the folder of a script there

from tui_vae.cli.bench_target import Target, parse_target
from tui_vae.cli.bench_until import Reached, train_ordinarily_until, train_until
from tui_vae.config import RunConfig, check_option, preset_config


def timed(way: str, config: RunConfig, target: Target) -> Reached:
    return train_ordinarily_until(config, target) if way == "ordinary" else train_until(config, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=parse_target, default=Target("bits", 6.74))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--ways", default="adam,quick,ordinary", help="which are trained; the ordinary one takes longest"
    )
    options = parser.parse_args()
    ways = options.ways.split(",")
    machine = {name: check_option(name, getattr(options, name)) for name in ("threads", "precision")}
    configs = {way: replace(preset_config("adam" if way == "ordinary" else way), **machine)
               for way in ways}  # fmt: skip
    found: dict[str, list[Reached]] = {way: [] for way in configs}
    for number in range(options.rounds):
        for way, config in configs.items():
            one = timed(way, replace(config, seed=number), options.until)
            found[way].append(one)
            print(f"round {number + 1}, {way}: {'reached' if one.reached else 'NOT reached'}, epoch {one.epoch}, "
                  f"{one.value:.4g}, {one.seconds:.1f} s of training, {one.wall:.1f} s in all", flush=True)  # fmt: skip
    seconds = {way: median(each.seconds for each in times) for way, times in found.items()}
    walls = {way: median(each.wall for each in times) for way, times in found.items()}
    for way in (each for each in ways if each != "quick"):
        of_training, of_all = seconds[way] / seconds["quick"], walls[way] / walls["quick"]
        print(f"{way} / quick, medians: training {of_training:.2f}, the whole command {of_all:.2f}")


if __name__ == "__main__":
    main()
