"""A short run of the long command, and the table that was made by running."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"`(tests/[\w/]+\.py)` `(test_\w+)` \| ([\d,]+) \|")
"""File, name and times of a row of docs/reliability.md that a test shows."""


@pytest.mark.long
def test_a_few_kills_epochs_and_inputs() -> None:
    """So few epochs say nothing about growth, but whatever is lost shows."""
    few = ("--kills", "8", "--epochs", "200", "--inputs", "300")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability", *few], capture_output=True, text=True, timeout=900
    )
    assert "| SIGKILL, " in done.stdout, done.stderr
    assert not any(word in done.stdout for word in ("DIFFERS", "MISSING", "FAILED")), done.stdout


@pytest.mark.long
def test_the_table_names_as_many_cases_as_a_test_has() -> None:
    """A test may have a loop of its own, and so several times for each of its cases."""
    rows = ROW.findall((ROOT / "docs" / "reliability.md").read_text())
    assert len(rows) > 50
    tests = [f"{file}::{name}" for file, name, _ in rows]
    collect = ["-m", "pytest", "-o", "addopts=", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run([sys.executable, *collect, *tests], capture_output=True, text=True, cwd=ROOT).stdout
    cases = [line.partition("[")[0] for line in found.splitlines() if "::" in line]
    for (*_, times), test in zip(rows, tests, strict=True):
        count = cases.count(test)
        assert count and int(times.replace(",", "")) % count == 0, f"{test} has {count} cases, the table says {times}"
