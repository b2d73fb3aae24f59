"""Kills a real trainer again and again, resumes it, and compares the end with that of a run that nobody disturbed.

`python -m tests.reliability.kills [--kills 320] [--cold 80] [--seed N] [--folder PATH]`

Two kinds of kills. A cold one comes from outside, at a random moment from the first instruction of
`python -m tui_vae.trainer` on: imports, loading, training, evaluation, writing. A warm one is injected at a random call
of a function that changes files (`injected_kill`): half a line or file written, before or after a rename or an fsync.
The warm trainer runs the same `main()`, forked from a process that has imported PyTorch, which saves the seconds that
this takes; nothing of PyTorch has been used there.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.reliability.injected_kill import FUNCTIONS, Kill
from tests.reliability.table import Row, print_rows
from tests.support.training import same
from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.trainer.checkpoints import load_checkpoint

EPOCHS = 14_000
"""Of the run: more than 320 kills let pass, of which one lets 5 to 100 pass."""

EPOCHS_A_KILL = 200
"""Of the run, where there are few kills: more than any of them lets pass."""

TINY = {"device": "cpu", "threads": 1, "precision": "float32", "train-limit": 500, "test-limit": 150, "hidden": "24",
        "latent-dim": 4, "batch-size": 192, "checkpoint-every": 0}  # fmt: skip
"""Three steps an epoch, and a checkpoint after each: most of the time files are being written."""

MOST_CALLS = {"open": 150, "write": 40, "pwrite": 3, "fsync": 60, "replace": 25, "chmod": 25, "fdopen": 30}
"""The calls, about, that a start and then some five epochs make of each function."""

CALL_SECONDS = 6.0
"""Until a warm trainer is killed that has not come to its call: then training is under way."""

COLD_SECONDS = 12.0
"""Within which a cold kill comes: imports take some of them."""


def new_run(folder: Path, name: str, epochs: int) -> RunDirectory:
    return create_run(folder, make_config({**TINY, "name": name, "epochs": epochs}))[0]


def train_warm(directory: RunDirectory, kill: Kill | None) -> int:
    """The trainer's `main` in a fork of this process; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid:
        deadline = time.monotonic() + (CALL_SECONDS if kill else math.inf)
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(ended[1])
    try:
        os.setsid()
        log = os.open(directory.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["trainer", str(directory.path)]
        from tui_vae.trainer.__main__ import main

        if kill:
            kill.arm()
        os._exit(main())
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    os._exit(70)


def train_cold(directory: RunDirectory, seconds: float) -> str:
    """Start a trainer as the app does, kill it after so many seconds, and return what it was doing by its log."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_vae.trainer", str(directory.path)], start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=directory.log.open("ab"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    begun = directory.events.stat().st_size if directory.events.exists() else 0
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    code = process.wait()
    if code != -signal.SIGKILL:
        return f"it had ended by itself, code {code}"
    news = ev.LogTail(directory.events, begun).read_all()
    if any(isinstance(event, ev.EpochEvent) for event in news):
        return "cold: training"
    states = [event.reason for event in news if isinstance(event, ev.StateEvent)]
    return f"cold: {states[-1] or 'first epoch'}" if states else "cold: before its first word"


def warm_up() -> None:
    import tui_vae.trainer.process
    import tui_vae.trainer.run_setup
    import tui_vae.trainer.training  # noqa: F401


def differences(killed: RunDirectory, calm: RunDirectory, epochs: int) -> list[str]:
    """In what the two runs differ; times apart, nothing may."""
    found = []
    for name in ("last", "best"):
        (one, weights), (other, expected) = (load_checkpoint(getattr(run, name)) for run in (killed, calm))
        if not same(weights, expected):
            found.append(f"{name}: the tensors")
        if (one.step, one.evaluated, one.best_loss) != (other.step, other.evaluated, other.best_loss):
            found.append(f"{name}: the progress")
    mine, theirs = (read_history(run.events).epochs for run in (killed, calm))
    if [event.epoch for event in mine] != list(range(1, epochs + 1)):
        found.append("the log's valid epochs")
    if [(event.train, event.test) for event in mine] != [(event.train, event.test) for event in theirs]:
        found.append("the figures of an epoch")
    if leftovers := [path.name for path in killed.path.glob(".*.part")]:
        found.append(f"{len(leftovers)} temporary files left")
    return found


def run(folder: Path, kills: int, cold: int, seed: int, most_epochs: int = EPOCHS) -> list[Row]:
    """Rows of the table of faults. `most_epochs`: of the run, fewer where there are few kills.

    Raises:
        SystemExit: a trainer ended in another way than by its kill.
    """
    dice, epochs = random.Random(seed), min(most_epochs, EPOCHS_A_KILL * kills)
    warm_up()
    killed, calm = new_run(folder, "killed", epochs), new_run(folder, "calm", epochs)
    kinds = ["cold"] * cold + ["warm"] * (kills - cold)
    dice.shuffle(kinds)
    done: Counter[str] = Counter()
    while kinds:
        if kinds[-1] == "cold":
            what = train_cold(killed, dice.uniform(0.0, COLD_SECONDS))
        else:
            function = dice.choice(FUNCTIONS)
            kill = Kill(function, dice.randint(1, MOST_CALLS[function]), dice.random() < 0.4)
            code = train_warm(killed, kill)
            what = kill.window if code == -signal.SIGKILL else f"code {code} at {kill}"
        if what.startswith(("code", "it had ended")):
            raise SystemExit(f"after {done.total()} kills: {what}; see {killed.log}")
        kinds.pop()
        done[what] += 1
        print(f"{done.total():4} kills, epoch {reached(killed):5}  {what}", file=sys.stderr, flush=True)
    before = reached(killed)
    for directory in (killed, calm):
        if code := train_warm(directory, None):
            raise SystemExit(f"run {directory.name} ended with {code}; see {directory.log}")
    lost = "; ".join(differences(killed, calm, epochs)) or "nothing"
    print(f"killed {done.total()} times within {before:,} epochs; then on to {epochs:,}")
    outcome = "resumed; at the end as a run left alone, bit for bit" if lost == "nothing" else "DIFFERS"
    return [Row(f"SIGKILL, {what}", "kills", count, outcome, lost) for what, count in sorted(done.items())]


def reached(directory: RunDirectory) -> int:
    return load_checkpoint(directory.last)[0].evaluated if directory.last.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kills", description="Kill, resume, compare.")
    parser.add_argument("--kills", type=int, default=320)
    parser.add_argument("--cold", type=int, default=80, help="of them, from outside, at any moment (%(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the run, at most (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        rows = run(Path(folder), options.kills, min(options.cold, options.kills), options.seed, options.epochs)
    print_rows(rows)
    return any(row.lost != "nothing" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
