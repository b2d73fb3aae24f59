"""Limits of the system that keep a process of a run from beginning: one sentence says which, and what to do."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import events
from tests.support.training import new_run
from tui_vae.cli import main
from tui_vae.errors import NO_MORE_PROCESSES
from tui_vae.runs import events as ev
from tui_vae.runs.summary import summarize

LIMITED = """
import resource, sys, threading
from tui_vae.trainer.__main__ import main

{before}
sys.exit(main())
"""
"""A trainer in a process that is denied something."""


@pytest.mark.parametrize(
    ("before", "message", "hint"),
    [
        ("resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))",
         "the limit on a process's memory, of 1.0 GiB, is too low for this run", "raise it (ulimit -v)"),
        ("def refused(self): raise RuntimeError(\"can't start new thread\")\nthreading.Thread.start = refused",
         "the system starts no more threads", NO_MORE_PROCESSES),
    ],
    ids=["memory", "threads"],
)  # fmt: skip
def test_a_limit_that_keeps_a_trainer_from_beginning_is_one_sentence(
    own_runs: Path, before: str, message: str, hint: str
) -> None:
    directory = new_run(own_runs, name="run")
    code = LIMITED.format(before=before)
    done = subprocess.run([sys.executable, "-c", code, str(directory.path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    error = events(directory, ev.ErrorEvent)[-1]
    assert (error.message, error.hint) == (message, f"{hint}, then go on with: tui-vae resume run")
    assert summarize(directory).state == "failed"


def test_a_process_that_the_system_does_not_start_is_one_sentence(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert main(["train", "--name", "run", "--epochs", "1"]) == 1
    said = f"no process can be started for run 'run': {os.strerror(errno.EAGAIN)}; {NO_MORE_PROCESSES}"
    assert capsys.readouterr().err == f"tui-vae: {said}\n"
