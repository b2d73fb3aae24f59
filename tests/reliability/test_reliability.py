"""A short run of the long command."""

import subprocess
import sys

import pytest


@pytest.mark.long
def test_a_few_kills_epochs_and_inputs() -> None:
    """So few epochs say nothing about growth, but whatever is lost shows."""
    few = ("--kills", "8", "--epochs", "200", "--inputs", "300")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability", *few], capture_output=True, text=True, timeout=900
    )
    assert "| SIGKILL, " in done.stdout, done.stderr
    assert not any(word in done.stdout for word in ("DIFFERS", "MISSING", "FAILED")), done.stdout
