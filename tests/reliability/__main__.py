"""`python -m tests.reliability`: the long part of docs/reliability.md: kills, very many epochs, fuzzed inputs.

Each part is a command of its own too: `tests.reliability.kills`, `tests.reliability.watched`, `tests.fuzz`.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.__main__ import run_all
from tests.fuzz.run import TARGETS
from tests.reliability import kills, watched
from tests.reliability.table import Row, print_rows


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability", description="Kill, watch, fuzz; print a table."
    )
    parser.add_argument("--kills", type=int, default=320, help="a quarter of them from outside (%(default)s)")
    parser.add_argument("--epochs", type=int, default=20_000, help="of the watched run (%(default)s)")
    parser.add_argument("--inputs", type=int, default=100_000, help="of the parsers (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="rl-") as place:
        os.environ.update(XDG_RUNTIME_DIR=place, TUI_VAE_OFFLINE="1", TUI_VAE_CACHE=f"{place}/cache",
                          TUI_VAE_SYSTEM_DATA=f"{place}/none", TUI_VAE_STATE=f"{place}/state",
                          TUI_VAE_CONFIG=f"{place}/config.toml")  # fmt: skip
        runs = Path(place) / "runs"
        rows = kills.run(runs, options.kills, options.kills // 4, options.seed)
        rows += watched.run(runs, options.epochs)
        for name, given, outcome in run_all(list(TARGETS.values()), options.inputs, options.seed):
            lost = "nothing" if given else "FAILED"
            rows.append(Row(f"bytes of a stranger: {name}", "python -m tests.fuzz", given, outcome, lost))
    print_rows(rows)
    return any(row.lost != "nothing" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
