"""The commands that steer a run: `pause`, `resume`, `stop`, `checkpoint`, `set`."""

from __future__ import annotations

import argparse
import json
import signal
import time

from tui_vae.errors import UsageError
from tui_vae.runs import advice, protocol
from tui_vae.runs.client import LOADING_LIMIT, NoProcess, request
from tui_vae.runs.directory import HOLDER_PAUSE, RunDirectory, RunError, find_run, is_resumable, train_another
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import summarize
from tui_vae.runs.trust import find_to_load

SETTABLE = tuple(name.replace("_", "-") for name in protocol.Set.__struct_fields__ if not name.endswith("_factor"))
"""What `set` changes, by the names of the options."""

EXAMPLES = {"lr": "3e-4", "muon-lr": "0.03", "beta": "2"}
"""Values for sentences that show how a change is written."""


def pause(options: argparse.Namespace) -> int:
    """Pause a run after the step under way, with a checkpoint.

    Raises:
        UserError: there is no such run, it is not training, or its process refuses or does not answer.
    """
    return _control(options, protocol.Pause(), "paused")


def stop(options: argparse.Namespace) -> int:
    """Stop a run and wait until its process is gone.

    Raises:
        UserError: as `pause`.
    """
    from tui_vae.runs.launch import signal_trainer

    directory, done = _training_run(options), None
    was_queued = summarize(directory).state == "queued"
    try:
        done = request(directory, protocol.Stop(), protocol.Done, LOADING_LIMIT)
        where = f" at step {done.step}"
    except NoProcess:
        if not signal_trainer(directory, signal.SIGTERM):  # another way where no request reaches it
            raise
        where = ", after a checkpoint"
    while directory.is_training():
        time.sleep(HOLDER_PAUSE)
    again = advice.of_run("resume", directory.path)
    if was_queued and not directory.last.exists():
        return _tell(
            options, directory, _facts(done), f"taken out of the queue before it began; begin it with: {again}"
        )
    return _tell(options, directory, _facts(done), f"stopped{where}; continue it with: {again}")


def checkpoint(options: argparse.Namespace) -> int:
    """Have a run write a checkpoint now.

    Raises:
        UserError: as `pause`.
    """
    return _control(options, protocol.Checkpoint(), "checkpoint written")


def resume(options: argparse.Namespace) -> int:
    """Continue a run, in its living process or in a new one.

    Raises:
        UserError: there is no such run, it cannot be continued, or its code is not trusted.
    """
    from tui_vae.runs.launch import continue_training

    which = str(options.from_epoch) if options.from_epoch else None
    directory = find_to_load(runs_directory(options.runs_dir), options.name, options.trust, which)
    if options.devices:
        from tui_vae.trainer.several.placement import place, recorded

        place(recorded(directory), options.devices, is_new=False)  # before its log would say that the run has failed
    former = _go_back(directory, options.from_epoch, options.epochs) if options.from_epoch else ""
    if former and not options.json:
        print(f"{directory.name} is back at epoch {options.from_epoch}; what it was until now is kept as run {former}")
    continue_training(directory, options.epochs, lr_factor=options.lr_factor, devices=options.devices)
    try:
        # Answered once it is loaded.
        told = request(directory, protocol.Describe(), protocol.Description, LOADING_LIMIT)
        facts: dict[str, object] = {"epoch": told.epoch, "step": told.step, "kept_as": former or None}
    except NoProcess:
        facts = {"epoch": None, "step": None, "kept_as": former or None}
        if summarize(directory).state in ("failed", "crashed"):
            raise
    watch = advice.of_run("attach", directory.path)
    return _tell(options, directory, facts, f"training goes on; watch it with: {watch}")


def _go_back(directory: RunDirectory, epoch: int, more_epochs: int) -> str:
    """The name of the run that keeps what this one was until now; empty where nothing is lost."""
    from tui_vae.runs.go_back import go_back

    former = go_back(directory, epoch, more_epochs)
    return former.name if former else ""


def set_values(options: argparse.Namespace) -> int:
    """`set RUN lr=3e-4 muon-lr=0.03 beta=2`.

    Raises:
        UsageError: a change is none, or its value is not allowed.
        UserError: as `pause`.
    """
    values: dict[str, float] = {}
    for change in options.changes:
        name, _, text = change.partition("=")
        if name not in SETTABLE:
            raise UsageError(f"{change!r} is not a change of {', '.join(SETTABLE)}", "write it like lr=3e-4 or beta=2")
        if not text:
            raise UsageError(f"{change!r} has no value", f"write both in one word, like {name}={EXAMPLES[name]}")
        values[name.replace("-", "_")] = _checked_value(name, text)
    directory = _training_run(options)
    done = request(directory, protocol.Set(**values), protocol.Done, LOADING_LIMIT)
    rising = "" if done.rising_to is None else f", rising to {done.rising_to:.3g}"
    muon = "" if done.muon_lr is None else f", muon-lr {done.muon_lr:.3g}"
    words = f"lr {done.lr:.3g}{muon}, β {done.beta:g} from step {done.step} on{rising}"
    return _tell(options, directory, _facts(done), words)


def _checked_value(name: str, text: str) -> float:
    from tui_vae.config import check_option

    return float(check_option(name, text))


def _control(options: argparse.Namespace, message: protocol.AnyRequest, what: str) -> int:
    directory = _training_run(options)
    done = request(directory, message, protocol.Done, LOADING_LIMIT)
    return _tell(options, directory, _facts(done), f"{what} at step {done.step}, epoch {done.epoch}")


def _tell(options: argparse.Namespace, directory: RunDirectory, facts: dict[str, object], words: str) -> int:
    """Say what was done: in words, or with `--json` as an object of the facts."""
    if options.json:
        print(json.dumps({"run": directory.name, "path": str(directory.path), **facts}))
    else:
        print(f"{directory.name}: {words}")
    return 0


def _facts(done: protocol.Done | None) -> dict[str, object]:
    """The step and the values in force; None where the run has not said."""
    return {name: getattr(done, name, None) for name in protocol.Done.__struct_fields__}


def _training_run(options: argparse.Namespace) -> RunDirectory:
    """The run that the command names.

    Raises:
        RunError: there is none, it cannot be read, or it is not training. ReadOnlyRun: it is another user's.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    if not directory.is_training():
        directory.check_own()
        state = summarize(directory).state
        more = ("--epochs", "10") if state == "finished" else ()  # a finished run needs a number
        way_on = f"continue it with: {advice.of_run('resume', directory.path, options=more)}"
        hint = way_on if is_resumable(directory) else train_another(directory)
        raise RunError(f"run {directory.name!r} is not training, it is {state}", hint)
    return directory
