"""A command that takes a while says what it waits for, on a terminal alone, and takes it back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import SMALL, Trained, command, finish
from tests.support.terminal import Terminal

TUI_VAE = (sys.executable, "-P", "-m", "tui_vae")


AT_THE_FIRST_WORD = """
import os, sys
from tui_vae.__main__ import main
class Terminal:
    def isatty(self): return True
    def flush(self): pass
    def write(self, text):
        if text.endswith("..."):
            os.write(1, " ".join(sys.modules).encode())
            os._exit(0)
sys.stderr = Terminal()
sys.exit(main())
"""
"""A command that ends with its first word about what it waits for, and prints the modules that it has by then."""


class Remembered(Terminal):
    """Keeps all that was ever sent."""

    data = b""

    def heard(self, data: bytes) -> None:
        self.data += data
        super().heard(data)


@pytest.mark.slow
def test_show_says_what_it_waits_for(trained: Trained) -> None:
    words = ("show", trained.directory.name, "--images", "1", "--runs-dir", trained.runs_dir)
    with Remembered([*TUI_VAE, *words]) as terminal:
        assert terminal.wait(60) == 0
        shown = terminal.until("mse 0.")
    for said in (b"importing PyTorch ...", b"reading the images and the weights of done ...", b"asking the model ..."):
        assert said in terminal.data
    assert " ..." not in shown, "nothing of it stays"
    code, _, err = finish(command(*words))
    assert code == 0 and "..." not in err, "and a file gets none of it"


def test_a_sweep_says_what_it_waits_for() -> None:
    with Remembered([*TUI_VAE, "sweep", "--epochs", "1", *SMALL[:-2], "--batch-size", "96,128"]) as terminal:
        assert terminal.wait(120) == 0
    assert b"looking at the runs, the data and the devices for 2 runs ..." in terminal.data


@pytest.mark.parametrize("words", [("show", "done"), ("sweep", "--beta", "1,2")], ids=" ".join)
def test_the_first_word_comes_before_anything_heavy_is_imported(words: tuple[str, ...], trained: Trained) -> None:
    told = [sys.executable, "-P", "-c", AT_THE_FIRST_WORD, *words, "--runs-dir", trained.runs_dir]
    done = subprocess.run(told, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "tui_vae.cli.waiting" in loaded
    assert not loaded & {"torch", "numpy", "textual", "rich", "PIL", "plotext", "safetensors", "psutil", "asyncio"}
