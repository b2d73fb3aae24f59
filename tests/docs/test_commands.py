"""Every command in the README and in docs/ is run as it stands there, in a folder with the runs that the pages name.

On a few images, as `LESS` says. Those that no test can run are in `NOT_RUN`, each with a reason; the parser takes them.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image

from tests.support.commands import Output
from tests.support.documents import (
    GENERATED,
    PAGES,
    ROOT,
    DocumentedCommand,
    blocks,
    commands,
    inline_commands,
)
from tests.support.forked_trainers import ForkedTrainers
from tests.support.processes import end_processes, wait_until
from tests.support.terminal import Terminal
from tui_vae.cli import main
from tui_vae.cli.parser import make_parser
from tui_vae.runs.directory import RunDirectory, list_runs

NOT_RUN = {
    "srun tui-vae": "a batch system's",
    "systemd-run --user": "asks the user's service manager",
    "--name table": "trains 15 runs on all images: half an hour",
    "--name quick": "trains on all images: minutes",
    "--name best": "trains on all images: minutes",
    "sweep --preset default,quick,best": "trains nine runs on all images: half an hour",
    "python scripts/pictures.py": "needs a font, and trains for minutes",
    "python scripts/reliability.py": "takes hours",
    "python -m tests.fuzz": "takes half an hour; the suite gives each target some inputs",
    "tui-vae bench": "takes turns of seconds; tests/trainer/test_bench.py runs it",
    "tui-vae serve": "serves until Ctrl-C; tests/cli/test_serve.py does it",
    "--what encoder": "PyTorch takes seconds to export it; tests/cli/test_export_models.py does it",
    "--what decoder": "as the encoder",
    "--devices": "on several processes: tests/trainer/test_several_devices.py does it",
    "sweep --on ray": "needs a cluster; tests/cli/test_sweep_ray.py makes one",
    "sweep --on slurm": "needs Slurm; tests/cli/test_sweep_slurm.py has a stand-in",
    "--beta 1,4 --seed 0,1,2": "trains 18 runs; the six of the same sweep without --seed are run",
}
"""Part of a command → why no test runs it."""

LESS = {"--train-limit": "200", "--test-limit": "60", "--hidden": "16", "--epochs": "2"}
"""What a command that trains is told besides, or in place of what it says, so that it takes a moment."""

NEEDS = {"--what curves": "matplotlib", "--what rate-distortion": "matplotlib", "--out both.svg": "matplotlib",
         "--what report": "matplotlib", "--probe": "sklearn", "--log tensorboard": "tensorboardX",
         "--log wandb": "wandb"}  # fmt: skip
"""Part of a command → the module of the extra that it needs."""

OTHER_PROGRAMS = ("jq",)
"""Programs of others to which a page sends what a command prints; where one is missing, nothing of it can be run."""

STEERING = ("set", "pause", "checkpoint", "stop")
"""Commands that say something to a run that is being trained."""

ENDLESS = "100000"
"""Epochs of a run that is to live until it is stopped."""

ONCE = ("attach", "compare", "data", "doctor", "eval", "export", "ls", "show", "sweep", "train", "verify")
"""Commands that do the same on every page: one page's is run."""

LONGEST = 300
"""Seconds after which a command counts as one that never ends by itself, on a busy machine too."""

PARSER = make_parser()
RUN_BY_A_TEST = [page for page in PAGES if page.name not in GENERATED and commands(page)]


@dataclass(frozen=True)
class Scene:
    """`done`: the words of the commands that have been run in `folder`."""

    folder: Path
    done: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def runs_dir(self) -> Path:
        return self.folder / "checkpoints"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The folder: `checkpoints/` with the demo, `fashion-1`, `fashion-2` and `my-run`; images and a model."""
    folder = tmp_path_factory.mktemp("documents")
    trainers = ForkedTrainers()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("TUI_VAE_RUNS")
        patch.setenv("TUI_VAE_STATE", str(folder / "state"))
        patch.setenv("TUI_VAE_CONFIG", str(folder / "config.toml"))
        patch.setenv("PATH", f"{_stand_ins(folder / 'bin')}:{os.environ['PATH']}")
        trainers.use(patch)
        shutil.copytree(ROOT / "checkpoints" / "demo", folder / "checkpoints" / "demo")
        _write_images(folder)
        (folder / "my_vae.py").write_text(blocks(ROOT / "docs" / "own-model.md", "python")[0])
        for line in ("--name fashion-1", "--name fashion-2 --beta 2", "--name my-run --keep every:5"):
            assert main(["train", *line.split(), *less(line.split())]) == 0
        yield Scene(folder)
        end_processes(folder / "checkpoints")
    trainers.end()


@pytest.fixture
def here(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The same, for a test whose own fixtures have set a place for runs and settings."""
    monkeypatch.delenv("TUI_VAE_RUNS")
    monkeypatch.setenv("TUI_VAE_STATE", str(scene.folder / "state"))
    monkeypatch.setenv("TUI_VAE_CONFIG", str(scene.folder / "config.toml"))
    return scene


def _stand_ins(folder: Path) -> Path:
    """Programs in whose place nothing is to happen, such as a mail to somebody."""
    folder.mkdir()
    for name in ("mail", "curl"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def _write_images(folder: Path) -> None:
    dice = np.random.default_rng(0)
    np.savez(folder / "digits.npz", x_train=dice.integers(0, 256, (120, 12, 12), np.uint8),
             y_train=np.arange(120) % 10)  # fmt: skip
    for kind in ("cats", "dogs"):
        (folder / "pictures" / kind).mkdir(parents=True)
        for number in range(30):
            pixels = dice.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / kind / f"{number}.png")


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_BY_A_TEST, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_they_say(page: Path, here: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    failed, done = [], here.done
    for command in commands(page):
        if any(part in str(command) for part in NOT_RUN) or (command.words in done and command.words[1] in ONCE):
            continue
        if any(part in str(command) and not find_spec(module) for part, module in NEEDS.items()):
            continue
        if any(program in command.words and not shutil.which(program) for program in OTHER_PROGRAMS):
            continue
        _prepare(here.runs_dir, command)
        with _ends(command):
            code, out, err = _run(command, capsys)
        done.add(command.words)
        if code:
            failed.append(f"{command.line}\n    ends with {code}: {err.strip() or out.strip()[-500:]}")
    _end_training(here.runs_dir)
    assert not failed, "\n".join(failed)


@contextmanager
def _ends(command: DocumentedCommand) -> Iterator[None]:
    """Fail with the command's name where it never ends, instead of waiting for it."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{command.page}: {command.line} does not end by itself; should it be in NOT_RUN?")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _prepare(runs_dir: Path, command: DocumentedCommand) -> None:
    """Have the runs be what the command is about: living where it steers one; a name free where it makes one."""
    _, verb, name, *_ = (*command.words, "", "")
    run = RunDirectory(runs_dir / name) if name and not name.startswith("-") else None
    if verb in STEERING and run is not None:
        if not run.is_training():
            assert main(["resume", name, "--epochs", ENDLESS]) == 0
            wait_until(partial(_answers, run))
        return
    if verb == "resume" and run is not None and run.is_training():
        return  # it is paused
    _end_training(runs_dir)
    if verb == "train" and "--name" in command.words and "--resume-if-exists" not in command.words:
        shutil.rmtree(runs_dir / command.words[command.words.index("--name") + 1], ignore_errors=True)


def _answers(run: RunDirectory) -> bool:
    from tui_vae.runs import protocol
    from tui_vae.runs.client import request

    return request(run, protocol.Describe(), protocol.Description, 60).state == "training"


def _end_training(runs_dir: Path) -> None:
    for run in list_runs(runs_dir):
        if run.is_training():
            main(["stop", run.name])
            while run.is_training():
                time.sleep(0.02)


def _run(command: DocumentedCommand, capsys: pytest.CaptureFixture[str]) -> Output:
    words = list(command.words)
    if command.for_shell:
        shell = f'tui-vae() {{ "{sys.executable}" -P -m tui_vae "$@"; }}; {command.line}'
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", shell], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
    if words[0] == "python":
        done = subprocess.run([sys.executable, ROOT / words[1], *words[2:]], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
    if words[1:] == [] or words[1] == "attach":
        with Terminal([sys.executable, "-P", "-m", "tui_vae", *words[1:]], columns=120, rows=36) as terminal:
            terminal.until("q leave")
            terminal.press("q")
            return terminal.wait(), terminal.text(), ""
    capsys.readouterr()
    code = main([*words[1:], *(less(words) if words[1] in ("train", "sweep") else ())])
    return code, *capsys.readouterr()


def less(words: Sequence[str]) -> list[str]:
    """`LESS` for a command: with all its epochs where some of them are to be kept."""
    left_out = "--epochs" if "--keep" in words else ""
    return [word for option in LESS.items() if option[0] != left_out for word in option]


def test_every_reason_not_to_run_a_command_is_of_one_that_the_parser_takes() -> None:
    every = [command for page in PAGES for command in commands(page)]
    for part in NOT_RUN:
        meant = [command for command in every if part in str(command)]
        assert meant, f"no page has a command with {part!r}"
        for command in meant:
            if "tui-vae" in command.words:
                PARSER.parse_args(command.words[command.words.index("tui-vae") + 1 :])
            else:
                module = command.words[2].replace(".", "/") if command.words[1] == "-m" else command.words[1]
                assert (ROOT / module).exists()


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    (found,) = [each for each in PARSER._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found.choices)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_text_is_one_with_these_options(page: Path) -> None:
    """With RUN, NAME and dots in place of what a reader fills in, so that it is not parsed as a whole."""
    for command in inline_commands(page):
        words = re.sub(r"[\[\]…]", " ", re.split(r";|\s[|&>]", command)[0]).split()
        verb = words[1] if len(words) > 1 and not words[1].startswith("-") else ""
        if verb == "COMMAND":
            continue
        assert not verb or verb in parsers(), f"{page.name}: {command}"
        parser = parsers()[verb] if verb else PARSER
        known = {option for action in parser._actions for option in action.option_strings}
        named = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert named <= known | {"--version"}, f"{page.name}: {command}"
