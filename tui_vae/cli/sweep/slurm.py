"""The runs of a sweep as jobs of Slurm: one array, written and submitted by submitit, that outlives the command."""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_vae.cli.sweep.array_task import ArrayTask
from tui_vae.cli.sweep.node import order, placed, threads_of
from tui_vae.cli.sweep.run import LIVING, SweepRun
from tui_vae.errors import UsageError, UserError, first_line
from tui_vae.runs import advice
from tui_vae.runs.files import write_atomic
from tui_vae.runs.safe_files import cannot, read_whole
from tui_vae.runs.summary import summarize

if TYPE_CHECKING:
    import submitit

OURS = {
    "array": "leave it out", "output": "leave it out", "error": "leave it out", "open-mode": "leave it out",
    "job-name": "give --name", "cpus-per-task": "give --cpus", "gpus-per-node": "give --gpus",
}  # fmt: skip
"""Options of sbatch that users do not give, with what to do instead."""

JOBS = "jobs.json"
"""Which job trains which run: an object of runs' names and jobs' numbers, in the folder of the sweep's jobs."""

MOST_RECORD = 1 << 20
"""Bytes of that file that are read: an entry has up to 90."""

MOST_LIMITS = 1_000_000
"""Times that a run may reach the time limit of its job, and go on in the next one."""

ANSWER = 60.0
"""Seconds within which Slurm must say which jobs there are."""


def check_slurm(options: argparse.Namespace) -> None:
    """
    Raises:
        UserError: submitit or Slurm is not installed here. UsageError: an option is missing, or makes no sense.
    """
    if not find_spec("submitit"):
        raise UserError("--on slurm needs submitit", "install it: pip install 'tui-vae[slurm]'")
    if not (shutil.which("sbatch") and shutil.which("srun")):
        raise UserError("there is no Slurm here: the commands sbatch and srun are not found",
                        "give the command where you submit jobs")  # fmt: skip
    if options.detach:
        raise UsageError("the jobs of --on slurm are in the background already", "leave --detach out")
    given = dict(options.slurm)
    for key, instead in OURS.items():
        if key in given:
            raise UsageError(f"--slurm {key} is the sweep's own to set", instead)
    if "time" not in given:
        raise UsageError("each job needs a time limit, after which its run goes on in the next one",
                         "add --slurm time=4:00:00, say")  # fmt: skip
    minutes(str(given["time"]))
    for name in ("cpus", "gpus"):
        if (number := getattr(options, name)) is not None and number != int(number):
            raise UsageError(f"Slurm has whole {name.upper()[:3]}s, not {number:g}", f"give --{name} a whole number")


def minutes(text: str) -> int:
    """A time limit as sbatch knows it (minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S), in minutes, rounded up.

    Raises:
        UsageError: it is none.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not found:
        raise UsageError(f"{text!r} is no time limit of Slurm's", "it is like 4:00:00, or 1-12 for a day and 12 hours")
    days, *parts = found.groups()
    first, second, third = (int(part or 0) for part in parts)
    if days is not None:
        seconds = int(days) * 86_400 + first * 3600 + second * 60 + third
    elif parts[2] is not None:
        seconds = first * 3600 + second * 60 + third
    else:
        seconds = first * 60 + second
    return max(1, -(-seconds // 60))


def submit_all(runs: Sequence[SweepRun], runs_dir: Path, name: str, options: argparse.Namespace) -> bool:
    """Submit a job for each run that is neither finished nor has one, and say how to follow them.

    False where all are finished.

    Raises:
        UserError: Slurm refuses. UsageError: `--json` was given, and there are no results yet.
    """
    folder = runs_dir / f".sweep-{name}.slurm"
    recorded = read_record(folder)
    alive = living_jobs(set(recorded.values()))
    missing, jobs = [], {}
    for run in runs:
        state = summarize(run.directory).state if run.directory.config.is_file() else "waiting"
        if state == "finished":
            continue
        if recorded.get(run.name) in alive:
            jobs[run.name] = recorded[run.name]
        elif state not in LIVING:
            missing.append(run)
        else:
            jobs[run.name] = ""  # somebody trains it
    if not missing and not jobs:
        return False
    if options.json:
        raise UsageError("the jobs have not ended, so there are no results to print as JSON yet",
                         "give the command without --json, and with it once they have ended")  # fmt: skip
    if missing:
        numbers = _submit(missing, runs_dir, name, folder, options)
        jobs |= numbers
        _write_record(folder, {**recorded, **numbers})
    _say(name, runs, len(missing), jobs, runs_dir, folder, advice.again(options.words))
    return True


def _submit(
    runs: Sequence[SweepRun], runs_dir: Path, name: str, folder: Path, options: argparse.Namespace
) -> dict[str, str]:
    import submitit

    given = dict(options.slurm)
    cpus = int(options.cpus) if options.cpus is not None else max(threads_of(run.wanted) for run in runs)
    gpus = int(options.gpus or 0)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_LIMITS)
        executor.update_parameters(
            job_name=name, time=minutes(str(given.pop("time"))), cpus_per_task=max(1, cpus), wckey=None,
            array_parallelism=options.jobs or len(runs), additional_parameters={"requeue": True} | given,
            **({"gpus_per_node": gpus} if gpus else {}),
        )  # fmt: skip
        tasks = []
        for run in runs:
            wanted = placed(run.wanted, cpus, gpus, without="auto")  # `--slurm gres=gpu:1` gives one, too
            tasks.append(ArrayTask(order(wanted, runs_dir, name, folder)))
        return {run.name: job for run, job in zip(runs, submit_tasks(executor, tasks), strict=True)}
    except OSError as error:
        raise cannot("write the jobs", error, "choose another --runs-dir") from None


def submit_tasks(executor: submitit.Executor, tasks: Sequence[ArrayTask]) -> list[str]:
    """Submit the jobs, and give their numbers.

    Raises:
        UserError: they are refused.
    """
    import submitit

    try:
        with redirect_stderr(io.StringIO()):  # which repeats what is in the error
            return [job.job_id for job in executor.submit_array(tasks)]
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        words = first_line(error).removeprefix("sbatch: ").removeprefix("error: ")
        raise UserError(f"Slurm refuses the jobs: {words}", "see --slurm, --cpus and --gpus") from None


def living_jobs(numbers: set[str]) -> set[str]:
    """Those of these jobs that wait or run."""
    if not numbers:
        return set()
    arrays = ",".join(sorted({number.partition("_")[0] for number in numbers}))
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={arrays}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER)  # noqa: S603  # our own numbers
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"Slurm does not say which jobs there are: {first_line(error)}", "try again") from None
    if found.returncode and "Invalid job id" not in found.stderr:  # as of jobs that are long gone
        words = (found.stderr.strip().splitlines() or ["squeue failed"])[-1].removeprefix("squeue: ")
        raise UserError(f"Slurm does not say which jobs there are: {words.removeprefix('error: ')}", "try again")
    return set(found.stdout.split()) & numbers


def read_record(folder: Path) -> dict[str, str]:
    """The job that each run was last submitted as."""
    try:
        found = json.loads(read_whole(folder / JOBS, MOST_RECORD))
    except (OSError, ValueError):
        return {}
    entries: dict[Any, Any] = found if isinstance(found, dict) else {}
    return {str(name): str(job) for name, job in entries.items() if re.fullmatch(r"\d+(_\d+)?", str(job))}


def _write_record(folder: Path, jobs: Mapping[str, str]) -> None:
    try:
        write_atomic(folder / JOBS, json.dumps(dict(jobs), indent=1).encode())
    except OSError as error:
        raise cannot("write which job trains which run", error, "the jobs are submitted") from None


def _say(
    name: str,
    runs: Sequence[SweepRun],
    submitted: int,
    jobs: Mapping[str, str],
    runs_dir: Path,
    folder: Path,
    again: str,
) -> None:
    arrays = sorted({number.partition("_")[0] for number in jobs.values() if number}, key=int)
    words = [f"{submitted} job{'s' if submitted > 1 else ''} submitted"] if submitted else []
    if others := len(jobs) - submitted:
        words.append(f"{others} under way already")
    if finished := len(runs) - len(jobs):
        words.append(f"{finished} finished already")
    numbers = f" (job {', '.join(arrays)})" if arrays else ""
    print(f"{name}: {len(runs)} runs, {', '.join(words)}{numbers}")
    if arrays:
        print(f"follow the jobs:            squeue --jobs={','.join(arrays)}")
    print(f"see the runs:               {advice.command('ls', runs_dir)}")
    if arrays:
        print(f"what the jobs say:          {advice.quoted(str(folder))}/*_log.*")
        print(f"stop after checkpoints:     scancel {' '.join(arrays)}")
    print(f"go on, or see the results:  {again}")
