"""Runs that one may only look at, such as another user's: all that looks works and writes nothing, all else refuses."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.processes import Trained, command, end_processes, finish, wait_until
from tests.support.users import facts, give_back, make_read_only
from tui_vae.runs import protocol
from tui_vae.runs.client import request
from tui_vae.runs.directory import ReadOnlyRun, RunDirectory
from tui_vae.runs.launch import continue_training, start_serving
from tui_vae.runs.lock import RunLock
from tui_vae.runs.manage import delete_run, rename_run, write_note
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint


@pytest.fixture
def foreign(trained: Trained, own_runs: Path) -> Iterator[RunDirectory]:
    own_runs.mkdir()
    directory = RunDirectory(own_runs / "theirs")
    shutil.copytree(trained.directory.path, directory.path)
    make_read_only(directory)
    yield directory
    end_processes(own_runs)
    give_back(own_runs)


def test_commands_that_look_work_and_write_nothing(foreign: RunDirectory, tui_vae: Run, tmp_path: Path) -> None:
    before = facts(foreign)
    for words in (
        ("ls",), ("ls", "--json"), ("show", "theirs"), ("show", "theirs", "--samples"), ("eval", "theirs", "--json"),
        *(("export", "theirs", "--what", what, "--out", tmp_path / what)
          for what in ("metrics", "timelapse", "reconstructions")),
    ):  # fmt: skip
        code, _, err = tui_vae(*words)
        assert code == 0, (words, err)
    assert facts(foreign) == before


def test_a_process_of_ones_own_serves_and_leaves_no_trace_in_the_run(foreign: RunDirectory) -> None:
    before = facts(foreign)
    assert foreign.living().read_only and foreign.living().server is None
    process = start_serving(foreign)
    assert process is not None and start_serving(foreign) is None
    assert request(foreign, protocol.Describe(), protocol.Description, timeout=60).state == "serving"
    assert request(foreign, protocol.Reconstruct(indices=[0, 1]), protocol.Reconstructions).indices == (0, 1)
    living = foreign.living()
    assert living.holder is None and living.server is not None and living.server.pid == process.pid
    files = foreign.serving_files(read_only=True)
    for path in files:
        assert path.parent == runtime_directory() and path.exists()
    assert stat.S_IMODE(files.lock.stat().st_mode) == 0o600
    with pytest.raises(ReadOnlyRun):
        request(foreign, protocol.Resume(epochs=1), protocol.Done)
    code, out, err = finish(command("show", "theirs", "--images", 1))
    assert code == 0 and out, err
    assert facts(foreign) == before
    progress, tensors = load_checkpoint(foreign.last)
    give_back(foreign.path)
    progress.step += 21
    save_checkpoint(foreign.last, progress, tensors)  # as its trainer would
    wait_until(lambda: request(foreign, protocol.Describe(), protocol.Description).step == progress.step)
    process.kill()
    process.wait()


def test_what_changes_a_run_says_whose_it_is_and_what_to_do(foreign: RunDirectory, tui_vae: Run) -> None:
    before = facts(foreign)
    why = "belongs to user nobody" if os.getuid() == 0 else "is in a directory that you may not write to"
    said = f"run 'theirs' {why}: you may look at it, not change it"
    for words in (("resume", "theirs", "--epochs", 1), ("stop", "theirs"), ("pause", "theirs"),
                  ("checkpoint", "theirs"), ("set", "theirs", "lr=1e-3")):  # fmt: skip
        code, out, err = tui_vae(*words)
        assert (code, out) == (1, "") and said in err and f"cp -r {foreign.path} DIRECTORY" in err, (words, err)
    for act in (lambda: rename_run(foreign, "mine"), lambda: delete_run(foreign), lambda: write_note(foreign, "mine"),
                lambda: continue_training(foreign, 1)):  # fmt: skip
        with pytest.raises(ReadOnlyRun, match=said):
            act()
    assert facts(foreign) == before


def test_the_advice_to_copy_it_holds(foreign: RunDirectory) -> None:
    copy = RunDirectory(foreign.path.with_name("mine"))
    assert subprocess.run(["cp", "-r", foreign.path, copy.path]).returncode == 0
    if os.getuid():  # the copy has the permissions of the original
        give_back(copy.path)
    copy.check_own()
    RunLock(copy, "train").release()
