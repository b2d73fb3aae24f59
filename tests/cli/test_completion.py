"""Completion in real shells: what stands on the screen after the tab key."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import Trained
from tests.support.terminal import Terminal
from tui_vae.cli import main

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(tui-vae completion bash)"; PS1="> "'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -D; eval "$(tui-vae completion zsh)"; PS1="> "'),
    "fish": (
        ["fish", "--no-config", "-i"],
        'tui-vae completion fish | source; function fish_prompt; echo -n "> "; end; set fish_autosuggestion_enabled 0',
    ),
}


@contextmanager
def shell(name: str, folder: Path, runs: str) -> Iterator[Terminal]:
    """A shell that completes `tui-vae`, in a folder whose `bin` has it."""
    words, setup = SHELLS[name]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    command = folder / "bin" / "tui-vae"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m tui_vae "$@"\n')
    command.chmod(0o755)
    home = {"PATH": f"{command.parent}:/usr/bin:/bin", "HOME": str(folder), "TUI_VAE_RUNS": runs}
    with Terminal(words, 200, 40, {**home, "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}) as terminal:
        terminal.press(f"cd {folder}; {setup}; echo rea''dy\r")
        terminal.until(lambda text: "\nready" in text and text.rstrip().endswith(">"))
        yield terminal


def completed(terminal: Terminal, line: str, expected: str) -> None:
    """Type a line and a tab; `expected` is then on the screen. The line is left empty."""
    terminal.press("\x15" + line)
    terminal.until(line)
    terminal.press("\t")
    terminal.until(expected)
    terminal.press("\x15clear\r")
    terminal.until(lambda text: text.strip() == ">")


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_commands_options_runs_and_data(name: str, tmp_path: Path, trained: Trained) -> None:
    (tmp_path / "numbers-of-houses").mkdir()
    with shell(name, tmp_path, trained.runs_dir) as terminal:
        completed(terminal, "tui-vae atta", "tui-vae attach")
        completed(terminal, "tui-vae attach do", "tui-vae attach done")
        completed(terminal, "tui-vae train --muon-l", "tui-vae train --muon-lr")
        completed(terminal, "tui-vae train --schedule one-", "tui-vae train --schedule one-cycle")
        completed(terminal, "tui-vae train --dataset numbers", "tui-vae train --dataset numbers-of-houses")
        completed(terminal, "tui-vae eval done --checkpoint be", "tui-vae eval done --checkpoint best")


@pytest.mark.parametrize("name", SHELLS)
def test_it_says_where_its_output_belongs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    assert capsys.readouterr().out.startswith(f"# {'tui-vae' if name == 'fish' else 'eval'}")
