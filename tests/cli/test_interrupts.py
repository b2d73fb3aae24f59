"""Ctrl-C and SIGTERM while a command starts: exit code 130 and not a word, whatever is being imported."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STARTED_AS = "from tui_vae.__main__ import main; import sys; sys.exit(main())"
"""The script that pip makes of the package's entry point."""

INTERRUPTED_AT = f"""
import builtins, os, signal, sys
at, sent, imports = int(sys.argv.pop(1)), int(sys.argv.pop(1)), 0
class Counting:
    def find_spec(self, name, *_):
        global imports
        imports += name not in ("tui_vae", "tui_vae.__main__", "tui_vae.interrupts", "_signal")
        if imports == at:
            os.kill(os.getpid(), sent)
sys.meta_path.insert(0, Counting())
{STARTED_AS}
"""
"""The same, with a signal when the module of this number is looked for."""

WORKING = f"""
import os, signal, time
from tui_vae.cli import manage
manage.log = lambda options: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(60)
{STARTED_AS}
"""
"""The same, with SIGTERM once a command is at work."""

COMMANDS = (["ls"], ["--help"], ["train", "--help"], ["no-such-command"], ["show", "no-such-run"])


def interrupted_at(number: int, sent: signal.Signals, *arguments: str) -> tuple[int, str, str]:
    words = [sys.executable, "-P", "-c", INTERRUPTED_AT, str(number), str(int(sent)), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_signal_to_end_during_any_import_is_quiet(arguments: list[str]) -> None:
    """From the first module to the last one, in steps that grow: most of what is imported first differs in kind."""
    signals = (signal.SIGINT, signal.SIGTERM)
    numbers = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    codes = {number: interrupted_at(number, signals[at % 2], *arguments) for at, number in enumerate(numbers)}
    reached = {number: found for number, found in codes.items() if found[0] == 130}
    assert len(reached) >= 6, codes
    assert set(reached.values()) == {(130, "", "")} and codes.items() - reached.items() == {
        each for each in codes.items() if each[0] > max(reached)
    }, codes


def test_a_command_at_work_ends_by_sigterm_as_by_ctrl_c() -> None:
    words = [sys.executable, "-P", "-c", WORKING, "log", "any"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_stopped_while_the_command_starts_comes_again(by: signal.Signals) -> None:
    for number in (1, 8, 21):
        found = interrupted_at(number, by, "train", "--name", "job", "--resume-if-exists", "--epochs", "0")
        assert found == (75, "", ""), number


def test_ctrl_c_is_ignored_where_the_shell_has_said_so() -> None:
    """As behind `nohup` and `&` in a script: there a person's Ctrl-C means something else."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nexec({INTERRUPTED_AT!r})"
    words = [sys.executable, "-P", "-c", code, "5", str(int(signal.SIGINT)), "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("tui-vae ")


@pytest.mark.long
@pytest.mark.parametrize("arguments", [["ls"], ["--help"], ["show", "no-such-run"]], ids=" ".join)
@pytest.mark.parametrize("started", [["-c", STARTED_AS], ["-m", "tui_vae"]], ids=["entry point", "module"])
def test_ctrl_c_after_any_time_is_quiet(started: list[str], arguments: list[str]) -> None:
    """A real signal after 0 to 300 ms. Only while Python itself starts can nobody prevent its traceback."""
    quiet = 0
    for after in range(0, 300, 5):
        process = subprocess.Popen([sys.executable, "-P", *started, *arguments], stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        time.sleep(after / 1000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if process.returncode == 130:
            assert err == ""
            quiet += 1
        ours = [line for line in err.splitlines() if f"{os.sep}tui_vae{os.sep}" in line]
        assert all(Path(line.split('"')[1]).name in ("__init__.py", "__main__.py") for line in ours), err
    assert quiet > 5
