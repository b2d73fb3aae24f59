"""Run directories: made, named, found, locked."""

import dataclasses
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.log_events import epoch_event, logged, run_event, step_event
from tests.support.processes import events
from tui_vae.config import make_config, options, read_config
from tui_vae.runs import events as ev
from tui_vae.runs import summary
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunError, find_run, list_runs
from tui_vae.runs.lock import RunLock
from tui_vae.runs.summary import summarize


def test_a_new_run_has_its_whole_configuration_and_the_next_free_name(own_runs: Path) -> None:
    first, named = create_run(own_runs, make_config({"epochs": 3}))
    second, _ = create_run(own_runs, make_config({}))
    third, _ = create_run(own_runs, make_config({"name": "mine"}))
    assert [directory.name for directory in (first, second, third)] == ["fashion-1", "fashion-2", "mine"]
    written = read_config(first.config)
    assert set(written) == set(options())
    assert make_config(written) == named == dataclasses.replace(make_config({"epochs": 3}), name="fashion-1")
    assert {path.name for path in own_runs.iterdir()} == {"fashion-1", "fashion-2", "mine"}
    assert {run.name for run in list_runs(own_runs)} == {"fashion-1", "fashion-2", "mine"}
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, make_config({"name": "mine"}))


def test_a_new_run_is_on_the_disk_before_it_has_its_name(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a run that has its name has its config.toml too."""
    fsync, rename = os.fsync, os.rename
    synced: set[int] = set()
    missing: list[Path] = []

    def note(file: int) -> None:
        synced.add(os.fstat(file).st_ino)
        fsync(file)

    def look(source: Path, target: Path) -> None:
        missing.extend(path for path in (source, Path(source) / "config.toml") if path.stat().st_ino not in synced)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "rename", look)
    directory, _ = create_run(own_runs, make_config({}))
    assert missing == [] and own_runs.stat().st_ino in synced
    assert sorted(os.listdir(directory.path)) == ["config.toml", "previews"]


def test_a_name_that_is_cleared_away_at_the_last_moment_is_free(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process does so between the attempt to put a run there and the look at what was in its way."""
    rename = os.rename
    refused: list[Path] = []

    def once_in_the_way(source: Path, target: Path) -> None:
        if not refused:
            refused.append(target)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rename(source, target)

    monkeypatch.setattr(os, "rename", once_in_the_way)
    directory, _ = create_run(own_runs, make_config({"name": "again"}))
    assert refused == [directory.path] and directory.config.is_file() and os.listdir(own_runs) == ["again"]


def test_of_processes_that_want_one_name_at_once_one_gets_it(own_runs: Path) -> None:
    """Again and again, since it is a race; none may sweep away what another has just made."""
    own_runs.mkdir()
    code = """
import os, sys, time
from pathlib import Path
from tui_vae.config import make_config
from tui_vae.errors import UserError
from tui_vae.runs.create import create_run
runs, mine = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for number in range(40):
    sys.stdin.readline()
    try:
        directory, _ = create_run(runs, make_config({"name": f"run-{number}", "seed": int(mine)}))
        print("won", flush=True)
    except UserError as error:
        print(error.message, flush=True)
"""
    rivals = [
        subprocess.Popen([sys.executable, "-c", code, str(own_runs), str(number)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in (1, 2)
    ]  # fmt: skip
    pipes = [(rival.stdin, rival.stdout) for rival in rivals]
    assert all(out and out.readline() for _, out in pipes)
    for number in range(40):
        if number % 2:  # as a run that failed before its first step has left it: it is not in the way
            failed, _ = create_run(own_runs, make_config({"name": f"run-{number}"}))
            failed.events.write_bytes(ev.encode_line(ev.StateEvent(state="failed")))
        for pipe, _ in pipes:
            assert pipe
            pipe.write("go\n")
            pipe.flush()
        said = [out.readline().strip() for _, out in pipes if out]
        assert said.count("won") == 1, (number, said)
        assert f"run 'run-{number}' already exists" in " ".join(said), (number, said)
        assert read_config(own_runs / f"run-{number}" / "config.toml")["seed"] == said.index("won") + 1
    for rival in rivals:
        rival.communicate()
    assert [path.name for path in own_runs.iterdir() if not path.name.startswith("run-")] == []


def test_a_run_that_failed_before_its_first_step_is_not_in_the_way_and_any_other_is(own_runs: Path) -> None:
    mine = make_config({"name": "mine"})
    directory, _ = create_run(own_runs, mine)
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, mine)  # it has only just been made: its trainer is about to start
    directory.events.write_bytes(ev.encode_line(ev.StateEvent(state="failed")))
    create_run(own_runs, mine)
    assert events(directory) == []
    directory.events.write_bytes(ev.encode_line(step_event(3)) + ev.encode_line(ev.StateEvent(state="failed")))
    with pytest.raises(RunError, match="already exists"):
        create_run(own_runs, mine)


def test_a_lock_lives_as_long_as_its_process(own_runs: Path) -> None:
    directory, _ = create_run(own_runs, make_config({}))
    assert directory.holder() is None
    code = """
import sys, time
from pathlib import Path
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.lock import RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1])), "train")
print("held", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(directory.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    holder = directory.holder()
    assert holder
    assert (holder.pid, holder.mode, directory.is_training()) == (process.pid, "train", True)
    with pytest.raises(RunError, match="already has a living process"):
        RunLock(directory, "serve")
    process.kill()
    process.communicate()
    assert directory.holder() is None
    RunLock(directory, "serve").release()


def test_runs_are_found_newest_first_and_what_is_no_run_is_not(own_runs: Path) -> None:
    with pytest.raises(RunError, match="there are no runs"):
        find_run(own_runs)
    for age, name in enumerate(("new", "middle", "old")):
        directory, _ = create_run(own_runs, make_config({"name": name}))
        directory.events.touch()
        os.utime(directory.events, (1e9 - age, 1e9 - age))
    (own_runs / ".new-abc").mkdir()
    (own_runs / "no-run").mkdir()
    (own_runs / "file").touch()
    assert [run.name for run in list_runs(own_runs)] == ["new", "middle", "old"]
    assert find_run(own_runs).name == "new"
    assert find_run(own_runs, "old").name == "old"
    with pytest.raises(RunError, match="no run 'no-run'") as error:
        find_run(own_runs, "no-run")
    assert error.value.hint == "runs are: new, middle, old"
    with pytest.raises(RunError, match="the nearest is middle"):
        find_run(own_runs, "midle")


def test_a_run_that_vanishes_while_runs_are_listed_is_not_there(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, *others = (logged(own_runs, run_event(), epoch_event(1)) for _ in range(3))
    lstat = Path.lstat

    def deleted_a_moment_later(path: Path) -> os.stat_result:
        there = lstat(path)
        if path == others[0].config:
            shutil.rmtree(path.parent)
        return there

    monkeypatch.setattr(Path, "lstat", deleted_a_moment_later)
    found = list_runs(own_runs)
    assert {run.name for run in found} == {stays.name, others[1].name}
    shutil.rmtree(others[1].path)
    assert [run.name for run in summary.summarize_all(found)] == [stays.name]
    with pytest.raises(RunError, match="has been deleted"):
        summarize(others[1])
