"""A file system without file locks: looking works, training says what is missing."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.injection import without_flock
from tests.support.processes import Trained, command, finish
from tests.support.users import facts
from tui_vae.runs.directory import RunDirectory

MISSING = {"ENOLCK": errno.ENOLCK, "EOPNOTSUPP": errno.EOPNOTSUPP, "ENOSYS": errno.ENOSYS}


@pytest.mark.parametrize("name", MISSING)
def test_training_says_what_is_missing_and_leaves_nothing(own_runs: Path, tmp_path: Path, name: str) -> None:
    environment = without_flock(tmp_path / "site", own_runs, MISSING[name])
    code, out, err = finish(command("train", "--epochs", 1, env=environment))
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "its disk has no file locks (flock)" in err and "choose a --runs-dir on another disk" in err
    assert list(own_runs.iterdir()) == []


SERVE = """
import sys
from pathlib import Path
from tui_vae.runs import launch
from tui_vae.runs.directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]))
process = launch.start_serving(run)
print(run.living().server.mode)
process.kill()
"""


def test_looking_works_and_writes_nothing(trained: Trained, own_runs: Path, tmp_path: Path) -> None:
    run = RunDirectory(own_runs / "done")
    shutil.copytree(trained.directory.path, run.path)
    before = facts(run)
    environment = without_flock(tmp_path / "site", own_runs, errno.ENOLCK)
    code, out, err = finish(command("ls", env=environment))
    assert (code, err) == (0, "") and "finished" in out
    code, _, err = finish(command("resume", "done", "--epochs", 1, env=environment))
    assert code == 1 and "run 'done' is on a disk without file locks (flock): you may look at it" in err
    serve = [sys.executable, "-c", SERVE, str(run.path)]
    done = subprocess.run(serve, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("serve\n", "")
    assert facts(run) == before
