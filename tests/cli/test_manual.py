"""The manual page is what the parser says and is sound roff; the table of exit codes is what the commands do."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Run
from tui_vae.cli import manual
from tui_vae.cli.parser import make_parser
from tui_vae.errors import UsageError, UserError
from tui_vae.interrupts import COMES_AGAIN, INTERRUPTED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "man" / "tui-vae.1"


def test_the_page_is_what_the_parser_says() -> None:
    made = subprocess.run([sys.executable, ROOT / "scripts" / "make_man.py", "--check"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_man_renders_the_page_without_a_warning() -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-P", "cat", PAGE],
        capture_output=True, text=True, env={"MANWIDTH": "100", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(".\b", "", done.stdout)  # bold is a letter struck over itself
    for title in ("NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"):
        assert re.search(rf"(?m)^{title}$", text), title
    assert "--latent-dim DIM" in text and "tui-vae train --preset quick --json" in text


def test_what_begins_a_roff_request_is_escaped() -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from make_man import escaped
    finally:
        sys.path.pop(0)
    assert escaped(".5 of it") == "\\&.5 of it"
    assert escaped("a\\b --c") == "a\\eb \\-\\-c"


def test_the_exit_codes_of_the_documents_are_those_of_the_code(tui_vae: Run) -> None:
    rows = re.findall(r"(?m)^\| ([\d+N]+) \| (.*) \|$", (ROOT / "docs" / "exit-codes.md").read_text())
    assert dict(rows) == manual.EXIT_CODES
    codes = {UserError.exit_code, UsageError.exit_code, COMES_AGAIN, INTERRUPTED, tui_vae("--version")[0]}
    assert {str(code) for code in codes} == manual.EXIT_CODES.keys() - {"128+N"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ls"], 0), (["data", "--json"], 0), (["pause", "no-such-run"], 1), (["export", "x"], 2), (["nonsense"], 2),
        (["train", "--lr", "fast"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)  # fmt: skip
def test_a_command_ends_with_its_exit_code(arguments: list[str], code: int, tui_vae: Run) -> None:
    assert tui_vae(*arguments)[0] == code


def test_every_variable_of_the_environment_that_is_read_is_in_the_manual() -> None:
    """But those that the program sets itself, for a command at a run's end or for the app in a browser."""
    sources = [path.read_text() for path in (ROOT / "tui_vae").rglob("*.py") if path.name != "manual.py"]
    read = {name for text in sources for name in re.findall(r'environ(?:\.get\(|\[)"(TUI_VAE_\w+)"', text)}
    assert len(read) >= 6
    assert read - manual.ENVIRONMENT.keys() == set()
    assert {name for name in manual.ENVIRONMENT if name.startswith("TUI_VAE_")} - read == set()


def test_every_command_is_in_the_page() -> None:
    (commands,) = [each for each in make_parser()._actions if isinstance(each.choices, dict)]
    assert set(re.findall(r"(?m)^\.SS (\w+)$", PAGE.read_text())) == set(commands.choices or ())
