"""Checks every file of a run: each by itself, and against the others. It only reads, also beside a living process.

A living process replaces files at any moment. So checkpoints are read before the log, which then speaks of all that
they hold, and once more where the log speaks of something newer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_vae.config import options
from tui_vae.config.trackers import MODULES
from tui_vae.errors import UserError
from tui_vae.plain_text import plain
from tui_vae.runs.best_figure import best_by, best_figure
from tui_vae.runs.checkpoint_file import CheckpointError, Progress, verify_checkpoint
from tui_vae.runs.directory import BEST, LAST, RunDirectory
from tui_vae.runs.go_back import way_on
from tui_vae.runs.kept import best_file, kept_epochs, state_file
from tui_vae.runs.ownership import user_name
from tui_vae.runs.previews import ORIGINALS, preview_files, read_originals, read_preview
from tui_vae.runs.safe_files import KINDS, why_no_folder
from tui_vae.runs.verify_log import LogFacts, read_log, same_loss

FOLDERS = ("previews", "kept", *MODULES)
"""Folders of a run; each tracker writes into one of its name."""

MOST_NAMED = 3
"""Files that a line names of those with the same fault."""


@dataclass(frozen=True)
class Check:
    """The result for one file or folder. `hint`: what to do where it is not `ok`."""

    file: str
    ok: bool
    found: str
    hint: str = ""


class _Loaded:
    """A checkpoint as it was read: how far it had come, or what is wrong with it; neither where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress: Progress | None = None
        self.wrong = ""
        self.bytes = 0
        if not os.path.lexists(path):
            return
        try:
            self.progress = verify_checkpoint(path)
            self.bytes = path.stat().st_size
        except CheckpointError as error:
            if os.path.lexists(path):  # else a living process has just removed it
                self.wrong = error.message.replace(f"{path} ", "").replace(str(path), path.name)
        except OSError:
            pass  # removed in this moment

    @property
    def is_there(self) -> bool:
        return self.progress is not None or bool(self.wrong)


def verify_run(directory: RunDirectory) -> list[Check]:
    """Check all files of a run, one result for each that there is or should be."""
    last, best = _Loaded(directory.last), _Loaded(directory.best)
    kept = [(epoch, _Loaded(state_file(directory.kept, epoch)), _Loaded(best_file(directory.kept, epoch)))
            for epoch in kept_epochs(directory.kept)]  # fmt: skip
    living = directory.is_training()
    checks = [_config(directory)]
    try:
        log = read_log(directory.events)
    except FileNotFoundError:
        log = LogFacts()
        if last.is_there or best.is_there:
            checks.append(Check(directory.events.name, False, "it is missing"))
    except OSError as error:
        log = LogFacts()
        checks.append(Check(directory.events.name, False, error.strerror or "it cannot be read"))
    else:
        checks.append(_log(directory, log, living))
    newest_last, newest_best = _read_again(last, log), _read_again(best, log)
    _cut_where_it_went_back(log, newest_last, {each.progress.step for _, each, _ in kept if each.progress})
    may_be_missing = best.progress is not None and log.state == "finished"
    checks += _checkpoint(directory, last, newest_last, log, may_be_missing)
    checks += _checkpoint(directory, best, newest_best, log)
    for epoch, state, best_then in kept:
        checks += _kept(directory, epoch, state, log) + _kept(directory, epoch, best_then, log)
    return [*checks, *_previews(directory), *_other_files(directory, living)]


def _config(directory: RunDirectory) -> Check:
    try:
        directory.read_config()
    except UserError as error:
        return Check(directory.config.name, False, str(error).replace(f"{directory.config}", directory.config.name))
    return Check(directory.config.name, True, f"{len(options())} options")


def _log(directory: RunDirectory, log: LogFacts, living: bool) -> Check:
    name = directory.events.name
    if problem := log.problem():
        return Check(name, False, problem, "its readers pass such lines over; a backup may have them whole")
    notes = [f"{log.events:,} events", _number(len(log.epochs), "epoch")]
    notes += [f"{_number(log.unknown, 'line')} of another version"] if log.unknown else []
    torn = log.torn + (not log.ends and not living)
    notes += [f"{_number(torn, 'line')} torn by a crash or a full disk, which readers pass over"] if torn else []
    return Check(name, True, ", ".join(notes))


def _read_again(first: _Loaded, log: LogFacts) -> _Loaded:
    """The checkpoint as it is now, where the log, which was read after it, speaks of a newer one."""
    logged = log.newest(first.path.name)
    is_behind = logged is not None and (first.progress is None or first.progress.step < logged)
    return _Loaded(first.path) if is_behind and not first.wrong else first


def _cut_where_it_went_back(log: LogFacts, last: _Loaded, kept: set[int]) -> None:
    """A run that has gone back to a kept epoch is there although no process has said so in its log yet."""
    step = last.progress.step if last.progress else None
    if step is not None and step in kept and step < (log.newest(LAST) or 0):
        log.cut_after(step)


def _checkpoint(
    directory: RunDirectory, first: _Loaded, newest: _Loaded, log: LogFacts, may_be_missing: bool = False
) -> list[Check]:
    """The result for `last` or `best`, as it was before the log was read, and as it is after.

    `may_be_missing`: the run can be looked at without it.
    """
    name, logged = first.path.name, log.newest(first.path.name)
    if not newest.is_there:
        if logged is None:
            return []
        if may_be_missing:
            return [Check(name, True, "there is none: the run can be looked at, not trained on")]
        return [Check(name, False, f"it is missing; the log speaks of one at step {logged:,}")]
    hint = way_on(directory) if name == LAST else ""
    if newest.progress is None:
        return [Check(name, False, newest.wrong, hint)]
    # A process that was killed between the two has written a best one whose epoch the next process trains again.
    epochs = log.furthest if name == BEST else len(log.epochs)
    problem = _disagreement(first.progress, log, epochs) if first.progress else ""
    if not problem and logged is not None and newest.progress.step < logged:
        problem = f"it is of step {newest.progress.step:,}, older than the log's newest, of step {logged:,}"
    if not problem and name == BEST and first.progress:
        problem = _wrong_best(first.progress, log)
    return [Check(name, not problem, problem or _where(newest), hint if problem else "")]


def _kept(directory: RunDirectory, epoch: int, loaded: _Loaded, log: LogFacts) -> list[Check]:
    if not loaded.is_there:
        return []
    name = f"{directory.kept.name}/{loaded.path.name}"
    if loaded.progress is None:
        return [Check(name, False, loaded.wrong, "nobody can go back to it: delete it")]
    problem = _disagreement(loaded.progress, log, log.furthest)
    is_state = loaded.path == state_file(directory.kept, epoch)
    if not problem and (loaded.progress.evaluated != epoch if is_state else loaded.progress.evaluated > epoch):
        problem = f"it is of epoch {loaded.progress.evaluated}"
    return [Check(name, not problem, problem or _where(loaded))]


def _disagreement(progress: Progress, log: LogFacts, epochs: int) -> str:
    """In what a checkpoint contradicts a log that was read after it; empty where in nothing. `epochs`: of the log."""
    if progress.run_id and progress.run_id not in log.ids:
        return "it is of another run than the log"
    if progress.log_size > log.size:
        return f"the log had {progress.log_size:,} bytes when it was written, and has {log.size:,} now"
    if progress.evaluated > epochs:
        return f"it has {_number(progress.evaluated, 'epoch')}, the log {epochs}"
    if log.steps_per_epoch and progress.step < progress.evaluated * log.steps_per_epoch:
        return f"step {progress.step:,} is before the end of its epoch {progress.evaluated}"
    return ""


def _wrong_best(progress: Progress, log: LogFacts) -> str:
    name, logged = best_by(progress.config), None
    if 0 < progress.evaluated <= len(log.epochs):
        logged = best_figure(log.epochs[progress.evaluated - 1].test, name)
    if same_loss(progress.best_loss, logged):
        return ""
    return f"its test {name} is {progress.best_loss:.6g}, the log's of epoch {progress.evaluated} is {logged:.6g}"


def _where(loaded: _Loaded) -> str:
    assert loaded.progress is not None
    return f"epoch {loaded.progress.evaluated}, step {loaded.progress.step:,}, {loaded.bytes / 1e6:,.1f} MB"


def _previews(directory: RunDirectory) -> list[Check]:
    """Whether every preview can be read and has the originals' images."""
    name = f"{directory.previews.name}/"
    if why_no_folder(directory.previews):
        return []  # the check of the files' kinds says what it is
    files = preview_files(directory.previews)
    originals = read_originals(directory.previews)
    if not files and not os.path.lexists(directory.previews / ORIGINALS):
        return []
    if not originals.images:
        return [Check(name, False, f"{ORIGINALS} is missing or damaged", "resuming the run writes it anew")]
    shape = [len(image) for image in originals.images]
    kind = originals.width, originals.channels
    wrong = [path.name for _, path in files
             if [len(image) for image in read_preview(path, *kind)] != shape and path.exists()]  # fmt: skip
    if wrong:
        return [Check(name, False, f"not the originals' images, or damaged: {_some(wrong)}", "delete what is damaged")]
    return [Check(name, True, f"{_number(len(files), 'preview')} of {_number(len(shape), 'image')}")]


def _other_files(directory: RunDirectory, living: bool) -> list[Check]:
    """Leftovers and files of others; owners and permissions of all."""
    try:
        owner = directory.path.stat()
        entries = list(_entries(directory))
    except OSError as error:
        return [Check("permissions", False, f"{plain(str(error.filename))}: {error.strerror}")]
    folders = {directory.previews.name, directory.kept.name}
    odd, foreign, open_to_all, leftovers, unknown = [], [], [], [], []
    for name, facts in entries:
        should_be = "a directory" if name in folders else "" if name.endswith("/") else "a plain file"
        if should_be and (should_be == "a directory" or not stat.S_ISREG(facts.st_mode)):
            kind = next((what for is_kind, what in KINDS if is_kind(facts.st_mode)), "a file")
            odd.append(f"{name} is {kind}, not {should_be}")
        if facts.st_uid != owner.st_uid:
            foreign.append(f"{name} belongs to {user_name(facts.st_uid)}")
        if facts.st_mode & stat.S_IWOTH and not stat.S_ISLNK(facts.st_mode):
            open_to_all.append(name)
        if name.rpartition("/")[2].startswith(".") and name.endswith(".part"):
            leftovers.append(name)
        elif name not in _known(directory) and name not in folders:
            unknown.append(name)
    checks = []
    if leftovers and not living:
        checks.append(Check("leftovers", True, f"{_some(leftovers)}: of a killed writer; the next start removes them"))
    if unknown:
        checks.append(Check("other files", True, f"not of tui-vae: {_some(unknown)}"))
    if odd:
        checks.append(Check("kinds of files", False, _some(odd), "nothing of tui-vae opens it: move it away"))
    if foreign:
        whose = f"{_some(foreign)}, the run to {user_name(owner.st_uid)}"
        checks.append(Check("owners", False, whose, "who trains the run cannot write these"))
    if open_to_all:
        checks.append(Check("permissions", False, f"everybody may write: {_some(open_to_all)}",
                            f"chmod -R o-w {directory.path}"))  # fmt: skip
    if not (odd or foreign or open_to_all):
        checks.append(Check("permissions", True, f"all of {user_name(owner.st_uid)}, written by nobody else"))
    return checks


def _entries(directory: RunDirectory) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of the run by its name in the directory, and the directory itself; folders end with a slash."""
    yield "./", directory.path.stat()
    for folder, prefix in ((directory.path, ""), (directory.previews, "previews/"), (directory.kept, "kept/")):
        if folder.is_symlink() or not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # a living process has just removed it
                is_folder = not prefix and stat.S_ISDIR(facts.st_mode) and entry.name in FOLDERS
                yield plain(f"{prefix}{entry.name}") + ("/" if is_folder else ""), facts


def _known(directory: RunDirectory) -> set[str]:
    run = directory
    names = {path.name for path in (run.config, run.events, run.last, run.best, run.log, run.lock, run.note, run.tags)}
    names |= {"./", f"previews/{ORIGINALS}", *(f"{name}/" for name in FOLDERS)}
    names |= {f"previews/{path.name}" for _, path in preview_files(run.previews)}
    for epoch in kept_epochs(run.kept):
        names |= {f"kept/{state_file(run.kept, epoch).name}", f"kept/{best_file(run.kept, epoch).name}"}
    return names


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
