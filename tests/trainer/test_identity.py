"""A run is its directory, not its path: what a trainer does when its directory is renamed, replaced or removed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.processes import command, events, finish, wait_until
from tests.support.training import new_run, train_here
from tui_vae.cli import doctor, main
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.client import request
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import start_training
from tui_vae.runs.processes import lost_trainers
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint

ENDLESS = {"epochs": 1_000_000, "schedule": "constant", "checkpoint-every": 0.3}

WITHIN = 30.0
"""Seconds within which a trainer that has lost its directory ends, on a busy machine too."""


def trains(directory: RunDirectory) -> bool:
    return bool(events(directory, ev.StepEvent)) and directory.last.exists()


def remove(directory: RunDirectory) -> None:
    """`rm -rf`, again where the trainer has just put a file into a directory that was being emptied."""

    def gone() -> bool:
        shutil.rmtree(directory.path, ignore_errors=True)
        return not directory.path.exists()

    wait_until(gone)


def endless(runs: Path, name: str) -> tuple[RunDirectory, "subprocess.Popen[bytes]"]:
    """A run that trains, with a checkpoint after every epoch."""
    directory = new_run(runs, name=name, **ENDLESS)
    process = start_training(directory)
    wait_until(lambda: trains(directory))
    return directory, process


def short(runs: Path, name: str, **given: Any) -> RunDirectory:
    """A new run of another model, trained to its end."""
    directory = new_run(runs, name=name, **{"latent-dim": 7, "epochs": 3, **given})
    process = start_training(directory)
    assert process.wait(150) == 0
    return directory


@pytest.mark.slow
def test_a_renamed_run_goes_on_under_its_new_name_and_leaves_the_next_one_alone(own_runs: Path) -> None:
    old, process = endless(own_runs, "fashion")
    kept = RunDirectory(own_runs / "keep")
    old.path.rename(kept.path)
    new = short(own_runs, "fashion")
    last, best = new.last.read_bytes(), new.best.read_bytes()
    step = request(kept, protocol.Set(), protocol.Done).step
    wait_until(lambda: load_checkpoint(kept.last)[0].step > step + 20)
    assert process.poll() is None
    assert (new.last.read_bytes(), new.best.read_bytes()) == (last, best)
    assert load_checkpoint(new.last)[0].config["latent-dim"] == 7
    assert events(new, ev.StateEvent)[-1].state == "finished"
    code, out, err = finish(command("stop", "keep", "--runs-dir", own_runs))
    assert code == 0, err
    assert out.startswith("keep: stopped at step ")
    assert process.wait(20) == 0
    assert events(kept, ev.StateEvent)[-1].state == "stopped"
    assert load_checkpoint(kept.last)[0].step == events(kept, ev.CheckpointEvent)[-1].step
    assert not list(kept.path.glob(".*")) and not list(new.path.glob(".*"))


@pytest.mark.slow
def test_two_runs_that_have_had_one_name_both_answer(own_runs: Path) -> None:
    old, first = endless(own_runs, "fashion")
    kept = RunDirectory(own_runs / "keep")
    old.path.rename(kept.path)
    new, second = endless(own_runs, "fashion")
    assert kept.socket != new.socket
    for _ in range(3):
        for run in (kept, new):
            assert request(run, protocol.Describe(), protocol.Description).state == "training"
        time.sleep(0.8)  # longer than it takes a server to notice that its socket's file is another's
    for run, process in ((kept, first), (new, second)):
        request(run, protocol.Stop(), protocol.Done)
        assert process.wait(20) == 0


def test_a_trainer_whose_directory_is_deleted_ends_and_leaves_the_next_run_of_that_name_alone(own_runs: Path) -> None:
    old, process = endless(own_runs, "z")
    remove(old)
    new = short(own_runs, "z")
    assert process.wait(WITHIN) == 1
    assert [event.step for event in events(new, ev.RunEvent)] == [0]  # it began at its beginning
    progress, _ = load_checkpoint(new.last)
    assert progress.config["latent-dim"] == 7 and progress.step == 9
    assert events(new, ev.StateEvent)[-1].state == "finished"


@pytest.mark.slow
def test_a_trainer_whose_directory_is_deleted_says_so_and_ends(own_runs: Path, tmp_path: Path) -> None:
    directory = new_run(own_runs, name="z", **ENDLESS)
    said = tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-P", "-m", "tui_vae.trainer", str(directory.path)], stderr=file)
    wait_until(lambda: trains(directory))
    remove(directory)
    assert process.wait(WITHIN) == 1
    assert "of run 'z' ha" in said.read_text() and "been deleted; this process ends" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert not directory.path.exists()


def test_a_process_that_cannot_look_up_is_ended_too(own_runs: Path) -> None:
    """While it imports PyTorch, as in any long wait."""
    directory = new_run(own_runs, name="z", **ENDLESS)
    process = start_training(directory)
    remove(directory)
    assert process.wait(WITHIN) == 1
    assert not directory.path.exists()


def test_a_lock_file_that_alone_is_deleted_is_made_anew(own_runs: Path) -> None:
    directory, process = endless(own_runs, "z")
    directory.lock.unlink()
    wait_until(lambda: directory.process() == process.pid, timeout=WITHIN)
    assert request(directory, protocol.Describe(), protocol.Description).state == "training"
    request(directory, protocol.Stop(), protocol.Done)
    assert process.wait(20) == 0


def test_train_follows_its_very_run(own_runs: Path) -> None:
    options = ("--runs-dir", own_runs, "--name", "z", "--epochs", 1_000_000, "--train-limit", 500, "--device", "cpu",
               "--schedule", "constant")  # fmt: skip
    follower = command("train", *options)
    directory = RunDirectory(own_runs / "z")
    wait_until(lambda: directory.events.exists() and events(directory, ev.StepEvent))
    kept = RunDirectory(own_runs / "keep")
    directory.path.rename(kept.path)
    new_run(own_runs, name="z")
    os.kill(follower.pid, signal.SIGINT)
    code, _, err = finish(follower)
    assert code == 130 and "tui-vae resume keep" in err
    assert events(kept, ev.StateEvent)[-1].state == "stopped"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="processes have no folders here")
def test_a_trainer_without_a_directory_that_cannot_end_is_listed(
    own_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = new_run(own_runs, name="z", **ENDLESS)
    process = start_training(directory)
    os.kill(process.pid, signal.SIGSTOP)
    assert process.pid not in lost_trainers()
    remove(directory)
    assert main(["ls", "--json", "--runs-dir", str(own_runs)]) == 0
    out, err = capsys.readouterr()
    assert out == "[]\n"
    assert (
        f"a trainer lives whose run has been deleted, or its disk taken away; end it with: kill {process.pid}"
        in err.splitlines()
    )
    assert main(["ls", "--json", "--runs-dir", str(own_runs / "others")]) == 0
    assert capsys.readouterr() == ("[]\n", ""), "a list of other runs speaks of no run but its own"
    (finding,) = [each for each in doctor._lost_trainers() if str(process.pid) in each.found]
    assert finding.hint == f"end it with: kill {process.pid}" and not finding.ok
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(WITHIN) == 1
    assert process.pid not in lost_trainers()


def test_a_trainer_whose_disk_was_taken_away_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`umount -l`, as of a network drive: Linux then shows the paths of what is open on that disk alone."""
    runs = tmp_path / "runs"
    (runs / "there").mkdir(parents=True)
    (runs / "there" / "lock").touch()
    away, there, elsewhere = str(runs / "away"), str(runs / "there"), "/nowhere/runs/other"
    processes = {  # the run that it was started on, the lock that it has open, where its mounts are
        "self": ("", "", "mnt:[1]"), "11": (away, "/away/lock", "mnt:[1]"), "12": (away, "/away/lock", "mnt:[2]"),
        "13": (there, f"{there}/lock", "mnt:[1]"), "14": (away, f"{there}/lock", "mnt:[1]"),
        "15": (elsewhere, "/other/lock", "mnt:[1]"), "16": (away, f"{away}/lock (deleted)", "mnt:[2]"),
    }  # fmt: skip
    for name, (given, lock, mounts) in processes.items():
        (folder := tmp_path / "proc" / name).mkdir(parents=True)
        (folder / "cmdline").write_text(f"python\0-m\0tui_vae.trainer\0{given}\0")
        (folder / "ns").mkdir()
        (folder / "ns" / "mnt").symlink_to(mounts)
        (folder / "fd").mkdir()
        if lock:
            (folder / "fd" / "3").symlink_to(lock)
    monkeypatch.setattr("tui_vae.runs.processes.PROC", tmp_path / "proc")
    assert sorted(lost_trainers(runs)) == [11, 16]
    assert sorted(lost_trainers()) == [11, 15, 16]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors have no paths here")
def test_no_file_of_a_run_is_opened_by_its_path(own_runs: Path) -> None:
    directory = new_run(own_runs, name="watched", **{"epochs": 2, "checkpoint-every": 0})
    code = """
import sys
path, opened = sys.argv[1], []
def audit(event, arguments):
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "os.truncate"):
        opened.extend((event, str(argument)) for argument in arguments if str(argument).startswith(path))
sys.addaudithook(audit)
from tui_vae.trainer import __main__ as trainer
code = trainer.main()
print(sorted(set(opened)))
sys.exit(code)
"""
    for options in ((), ("--epochs", "1")):
        arguments = [sys.executable, "-c", code, str(directory.path), *options]
        done = subprocess.run(arguments, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str([("open", str(directory.path))])
    assert load_checkpoint(directory.last)[0].evaluated == 3


@pytest.mark.slow
def test_a_checkpoint_beside_a_log_that_never_spoke_of_it_is_refused(own_runs: Path) -> None:
    other, mine = (new_run(own_runs, name=name, epochs=1) for name in ("other", "mine"))
    for run in (other, mine):
        assert train_here(run) == 0
    own = mine.last.read_bytes()
    mine.last.write_bytes(other.last.read_bytes())
    assert train_here(mine, more_epochs=1) == 1
    error = events(mine, ev.ErrorEvent)[-1]
    assert error.message == f"{mine.last} is of another run than the log beside it"
    assert "--config" in error.hint
    for looking in ("eval", "show"):
        code, out, err = finish(command(looking, "mine", "--runs-dir", own_runs))
        assert code == 1 and "is of another run than the log beside it" in err, (out, err)
        assert "--checkpoint best" in err
    assert finish(command("eval", "mine", "--runs-dir", own_runs, "--checkpoint", "best"))[0] == 0
    mine.last.write_bytes(own)
    assert train_here(mine, more_epochs=1) == 0
    ids = {event.id for event in events(mine, ev.RunEvent)}
    assert ids == {load_checkpoint(mine.last)[0].run_id} == {load_checkpoint(mine.best)[0].run_id}


def test_a_run_of_an_older_version_gets_an_id_when_it_goes_on(own_runs: Path) -> None:
    directory = new_run(own_runs, name="old", epochs=1)
    assert train_here(directory) == 0
    progress, tensors = load_checkpoint(directory.last)
    log = directory.events.read_bytes()
    directory.events.write_bytes(log.replace(f',"id":"{progress.run_id}"'.encode(), b""))
    progress.run_id = ""
    save_checkpoint(directory.last, progress, tensors)
    for _ in range(2):
        assert train_here(directory, more_epochs=1) == 0
    first, second, third = (event.id for event in events(directory, ev.RunEvent))
    assert first == "" and second == third == load_checkpoint(directory.last)[0].run_id != ""


@pytest.fixture(autouse=True)
def no_trainer_is_left(own_runs: Path) -> Any:
    yield
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it may have ended this moment
            if "tui_vae.trainer" in child.cmdline():
                child.kill()
