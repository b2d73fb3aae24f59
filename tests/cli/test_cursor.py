"""Commands that hide the cursor while they show how far they are: a signal that ends them brings it back."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import SMALL
from tests.support.terminal import Terminal

ENDLESS = ("--epochs", "1000000", "--schedule", "constant", *SMALL)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGALRM], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "words", ["train --name run", "sweep --name run --lr 1e-3,2e-3 --jobs 1"], ids=["train", "sweep"]
)
def test_a_signal_that_ends_a_command_leaves_the_cursor_visible(
    own_runs: Path, words: str, number: signal.Signals
) -> None:
    with Terminal([sys.executable, "-m", "tui_vae", *words.split(), *ENDLESS], columns=120) as terminal:
        terminal.until(lambda text: terminal.screen.cursor.hidden and "1000000" in text)
        os.kill(terminal.pid, number)
        assert terminal.wait() == -number, "as without a handler"
        terminal.until(lambda text: not terminal.screen.cursor.hidden)
