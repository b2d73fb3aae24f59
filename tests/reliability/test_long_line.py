"""A line of 3 GB in a log takes no memory of whoever reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_run import make_run
from tui_vae.runs import events as ev

GIGABYTES = 3

READ = """
import sys
from pathlib import Path
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history, read_newest
from tui_vae.runs.log_loader import LogLoader
from tui_vae.runs.summary import summarize

def most(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return max((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), default=0)

run = RunDirectory(Path(sys.argv[1]))
before = most("self")
summarize(run)
read_newest(run.events)
assert len(read_history(run.events).epochs) == 3
mine, loader = most("self") - before, LogLoader(run.events)
found, highest = 0, 0
while batches := loader.next_batches():
    found += sum(len(batch.others) for batch in batches)
    highest = max(highest, most(loader._parts[0].process.pid))
loader.close()
assert found > 3
print(mine, highest)
"""


@pytest.mark.long
def test_a_line_of_gigabytes_takes_no_memory(own_runs: Path) -> None:
    run = make_run(own_runs, "run", epochs=3)
    with run.events.open("r+b") as log:
        log.truncate(log.seek(0, 2) + (GIGABYTES << 30))
    with run.events.open("ab") as log:
        log.write(b"\n" + ev.encode_line(ev.StateEvent(state="finished")))
    done = subprocess.run([sys.executable, "-c", READ, str(run.path)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    mine, loader = map(int, done.stdout.split())
    print(f"kB of memory: {mine} more of a reader, {loader} in all of the loading process")
    assert mine < 30_000 and 0 < loader < 100_000
