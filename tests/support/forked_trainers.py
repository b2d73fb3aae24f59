"""Trainers that are forked from one process which has imported PyTorch: each starts in a moment, however many they are.

What a trainer does is the same from its arguments on. The app's own waiting trainer differs from a cold one in the same
way (`tui_vae/trainer/warm_start.py`).
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from types import SimpleNamespace
from typing import Any

import pytest

from tui_vae.runs import launch

IMPORTED = [
    "tui_vae.trainer.__main__",
    "tui_vae.trainer.process",
    "tui_vae.trainer.training",
    "PIL.Image",
    "numpy.random",
]


class ForkedTrainers:
    """Takes the place of `subprocess` in `tui_vae/runs/launch.py`."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(IMPORTED)
        self.started: list[ForkServerProcess] = []

    def use(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(launch, "subprocess", SimpleNamespace(Popen=self.start, DEVNULL=None))

    def start(self, words: Sequence[str], stdout: int, env: Mapping[str, str], **settings: Any) -> "Trainer":
        """As `subprocess.Popen` is called there."""
        output = os.readlink(f"/proc/self/fd/{stdout}")
        arguments = list(words[words.index("tui_vae.trainer") + 1 :])
        process = self._context.Process(target=run, args=(arguments, output, dict(env), os.getcwd()))
        process.start()
        self.started.append(process)
        return Trainer(process)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.join()


class Trainer:
    """What the launcher asks a process that it has started."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode


def run(arguments: list[str], output: str, environ: dict[str, str], folder: str) -> None:
    """In the forked process: become what `python -m tui_vae.trainer ARGUMENTS` is."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, file in ((0, os.devnull), (1, output), (2, output)):
        opened = os.open(file, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.argv = ["tui_vae.trainer", *arguments]
    os.nice = lambda increment: 0  # a test waits for it
    from tui_vae.trainer.__main__ import main

    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
