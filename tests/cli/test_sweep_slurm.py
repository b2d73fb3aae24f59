"""`sweep --on slurm`: what is submitted, and that jobs train, are stopped, come again and go on, by submitit's means.

No Slurm is needed: submitit's local executor starts the same jobs as processes, the debug executor in this one, and
small scripts stand for Slurm's commands.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.extras import needs_slurm
from tests.support.processes import command, events, finish, wait_until
from tui_vae.cli.sweep.array_task import ArrayTask, is_wanted
from tui_vae.cli.sweep.node import Order, order
from tui_vae.cli.sweep.slurm import minutes, read_record
from tui_vae.config import make_config
from tui_vae.errors import UsageError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory

QUICK = ("--device", "cpu", "--precision", "float32", "--train-limit", "600", "--test-limit", "100", "--hidden", "24")

SETTINGS = {word.removeprefix("--"): value for word, value in zip(QUICK[::2], QUICK[1::2], strict=True)}

WORDS = ("sweep", "--on", "slurm", "--slurm", "time=1-0", "--slurm", "partition=gpu", "--name", "far", *QUICK)


def told(runs_dir: Path, name: str, **more: Any) -> Order:
    return order(make_config({**SETTINGS, "name": name, **more}), runs_dir, "far", runs_dir)


@pytest.mark.parametrize(("text", "expected"), [
    ("30", 30), ("90:30", 91), ("4:00:00", 240), ("1-12", 2160), ("1-0:30", 1470), ("2-00:00:01", 2881),
])  # fmt: skip
def test_time_limits_are_read_as_sbatch_reads_them(text: str, expected: int) -> None:
    assert minutes(text) == expected
    with pytest.raises(UsageError, match="is no time limit"):
        minutes(f"{text} hours")


@pytest.mark.slow
@needs_slurm
def test_a_job_stops_after_a_checkpoint_comes_again_and_goes_on(own_runs: Path) -> None:
    import submitit

    own_runs.mkdir()
    executor = submitit.LocalExecutor(own_runs / ".sweep-far.slurm", max_num_timeout=9)
    executor.update_parameters(timeout_min=60)
    job, stopped = executor.submit_array(
        [ArrayTask(told(own_runs, "a", epochs=60)), ArrayTask(told(own_runs, "b", epochs=1_000_000))]
    )
    first, second = RunDirectory(own_runs / "a"), RunDirectory(own_runs / "b")
    wait_until(lambda: events(first, ev.EpochEvent))
    (task,) = task_of(job)
    os.kill(task, signal.SIGUSR1)  # as of `--slurm signal=USR1@120`; submitit's own is SIGUSR2
    assert job.result() == "finished"
    stop = events(first, ev.ControlEvent)[0]
    assert stop.command == "stop" and len(events(first, ev.RunEvent)) == 2
    assert [event.epoch for event in events(first, ev.EpochEvent)] == list(range(1, 61))
    wait_until(lambda: events(second, ev.EpochEvent))
    (task,) = task_of(stopped)
    for pid in (task, second.process()):  # as `scancel` sends it to every process of a job
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
    assert stopped.result() == "stopped"
    assert events(second, ev.StateEvent)[-1].state == "stopped" and second.last.is_file()


def task_of(job: Any) -> list[int]:
    import psutil

    return [process.pid for process in psutil.Process(int(job.job_id)).children()]


@needs_slurm
def test_a_job_that_cannot_train_says_why(own_runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import submitit

    own_runs.mkdir()
    (good,) = submitit.DebugExecutor(own_runs / ".jobs").submit_array([ArrayTask(told(own_runs, "a", epochs=1))])
    assert good.result() == "finished"
    elsewhere = told(own_runs, "b", epochs=1)
    elsewhere = Order(**{**{name: getattr(elsewhere, name) for name in elsewhere.__struct_fields__}, "version": "0.0"})
    (bad,) = submitit.DebugExecutor(own_runs / ".jobs").submit_array([ArrayTask(elsewhere)])
    with pytest.raises(SystemExit):
        bad.result()
    assert "has tui-vae" in capfd.readouterr().err
    assert not (own_runs / "b").exists()


@pytest.mark.slow
def test_a_job_that_is_told_to_end_comes_again_unless_it_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not is_wanted()  # no job of Slurm's
    monkeypatch.setenv("SLURM_JOB_ID", "72")
    for state, wanted in {"RUNNING": True, "CANCELLED": False, "TIMEOUT": False}.items():
        says = f"JobId=72 ArrayJobId=71 ArrayTaskId=1 JobName=far JobState={state} Reason=None Requeue=1"
        (tmp_path / "scontrol").write_text(f'#!/bin/sh\n[ "$*" = "--oneliner show job 72" ] && echo "{says}"\n')
        (tmp_path / "scontrol").chmod(0o755)
        assert is_wanted() == wanted
    (tmp_path / "scontrol").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_wanted()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Slurm's commands: `sbatch` keeps what it gets, `squeue` prints what is in a file."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    scripts = {
        "srun": "exit 1",
        "sbatch": """cat "$1" > FOLDER/script
if [ -e FOLDER/refuse ]; then echo "sbatch: error: no such partition" >&2; exit 1; fi
echo "Submitted batch job 71\"""",
        "squeue": """[ -e FOLDER/living ] && exec cat FOLDER/living
echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1""",
    }
    for name, lines in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n".replace("FOLDER", str(folder)))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@needs_slurm
def test_the_sweep_submits_what_is_missing_and_says_how_to_follow_it(
    tui_vae: Run, own_runs: Path, commands: Path
) -> None:
    words = (*WORDS, "--latent-dim", "2,4,6", "--epochs", "1", "--jobs", "2", "--cpus", "3")
    code, out, err = tui_vae(*words)
    assert (code, err) == (0, "")
    assert "far: 3 runs, 3 jobs submitted (job 71)" in out and "scancel 71" in out and "squeue --jobs=71" in out
    script = (commands / "script").read_text()
    for line in ("--array=0-2%2", "--cpus-per-task=3", "--partition=gpu", "--time=1440", "--job-name=far", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    assert f"{sys.executable} -u -m submitit.core._submit" in script
    assert read_record(own_runs / ".sweep-far.slurm") == {f"far-latent-dim-{2 * k}": f"71_{k - 1}" for k in (1, 2, 3)}

    (commands / "living").write_text("71_0\n71_2\n")  # one job is gone, its run is not finished
    (commands / "script").unlink()
    code, out, err = tui_vae(*words)
    assert "far: 3 runs, 1 job submitted, 2 under way already (job 71)" in out
    assert "--array" not in (commands / "script").read_text()
    assert read_record(own_runs / ".sweep-far.slurm")["far-latent-dim-4"] == "71"


@pytest.mark.slow
@needs_slurm
def test_when_all_have_finished_the_same_command_shows_the_results(
    tui_vae: Run, own_runs: Path, commands: Path
) -> None:
    words = ("--name", "far", *QUICK, "--latent-dim", "2,4", "--epochs", "1")
    assert finish(command("sweep", *words))[0] == 0
    code, out, err = tui_vae("sweep", "--on", "slurm", "--slurm", "time=60", *words, "--json")
    assert (code, err) == (0, "") and [each["name"] for each in json.loads(out)] == [
        "far-latent-dim-2",
        "far-latent-dim-4",
    ]
    assert not (commands / "script").exists()


@needs_slurm
def test_what_keeps_slurm_from_training_is_one_sentence(
    tui_vae: Run, own_runs: Path, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*WORDS, "--latent-dim", "2,4")
    (commands / "refuse").touch()
    assert_one_sentence(tui_vae(*words), 1, "Slurm refuses the jobs: no such partition")
    assert_one_sentence(tui_vae("sweep", "--on", "slurm", "--latent-dim", "2,4"), 2, "each job needs a time limit")
    assert_one_sentence(tui_vae(*words, "--cpus", "0.5"), 2, "Slurm has whole CPUs, not 0.5")
    assert_one_sentence(tui_vae(*words, "--slurm", "array=1-9"), 2, "--slurm array is the sweep's own to set")
    assert_one_sentence(tui_vae(*words, "--json"), 2, "the jobs have not ended")
    assert_one_sentence(tui_vae(*words, "--detach"), 2, "in the background already")
    assert_one_sentence(tui_vae("sweep", "--latent-dim", "2,4", "--slurm", "time=9"), 2, "add --on slurm")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert_one_sentence(tui_vae(*words), 1, "there is no Slurm here")


def test_without_submitit_it_says_what_to_install(tui_vae: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.cli.sweep.slurm.find_spec", lambda name: None)
    assert_one_sentence(tui_vae(*WORDS, "--latent-dim", "2,4"), 1, "install it: pip install 'tui-vae[slurm]'")
