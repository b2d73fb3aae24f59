"""Hints for files that cannot be written: what they advise works while the process lives."""

import errno
import resource
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("number", "limit"), [(errno.EFBIG, "FSIZE"), (errno.EMFILE, "NOFILE")])
def test_a_limit_behind_an_error_is_raised_by_the_command_that_its_hint_names(number: int, limit: str) -> None:
    which = getattr(resource, f"RLIMIT_{limit}")
    most = resource.getrlimit(which)[1]
    code = f"""
import os, resource
from pathlib import Path
from tui_vae.runs.write_errors import unwritable
resource.setrlimit({which}, (100, {most}))
print(unwritable("a file", OSError({number}, ""), Path("/")).hint, flush=True)
input()
resource.setrlimit({which}, (100, 100))
print(unwritable("a file", OSError({number}, ""), Path("/")).hint, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdin
        command = process.stdout.readline().partition(": ")[2].split()
        assert command[0] == "prlimit"
        if shutil.which("prlimit"):
            subprocess.run(command, check=True)
            assert resource.prlimit(process.pid, which) == (most, most)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("have an administrator raise the limit on ")
