"""`python -m tests.fuzz [--inputs N] [--seed N] [TARGET …]`: very many inputs for the parsers of strangers' bytes."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence

from tests.fuzz.run import TARGETS, run_target
from tests.fuzz.target import Target


def run_all(chosen: Sequence[Target], inputs: int, seed: int) -> list[tuple[str, int, str]]:
    """So many inputs in all, at least, shared by the targets. Name, inputs (0 where one failed) and outcome of each."""
    weights, found = sum(target.weight for target in chosen), []
    for target in chosen:
        began, wanted = time.monotonic(), -(-inputs * target.weight // weights)
        try:
            given, outcome = run_target(target, wanted, seed), "all refused or read"
        except KeyboardInterrupt:
            raise
        except BaseException:
            traceback.print_exc()
            given, outcome = 0, "FAILED, see above"
        print(f"{target.name:12} {given:8} inputs  {time.monotonic() - began:7.1f} s  {outcome}", flush=True)
        found.append((target.name, given, outcome))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers of strangers' bytes.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--inputs", type=int, default=100_000, help="in all, at least (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="repeats a run; else a fresh one")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {min(unknown)}; there are {', '.join(TARGETS)}")
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fz-") as runtime:
        os.environ.update(XDG_RUNTIME_DIR=runtime, TUI_VAE_OFFLINE="1", TUI_VAE_CACHE=f"{runtime}/cache")
        chosen = [TARGETS[name] for name in options.targets or TARGETS]
        found = run_all(chosen, options.inputs, options.seed)
    failed = [name for name, given, _ in found if not given]
    total = sum(given for _, given, _ in found)
    print(f"{'in all':12} {total:8} inputs, seed {options.seed}, failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
