"""A run's directory: the names of its files, how a run is found, and which living process it has."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tui_vae import __version__
from tui_vae.config import RUN_NAME, RunConfig, UnknownOption, parse_config, recorded_config
from tui_vae.errors import UsageError, UserError, nearest
from tui_vae.plain_text import plain_lines
from tui_vae.runs import advice
from tui_vae.runs.holder import Holder, read_holder
from tui_vae.runs.kept import state_file
from tui_vae.runs.ownership import why_read_only
from tui_vae.runs.processes import is_trainer_of
from tui_vae.runs.runtime_directory import runtime_directory
from tui_vae.runs.safe_files import open_plain, read_tail, read_whole, reason

LAST, BEST = "last.safetensors", "best.safetensors"

MOST_CONFIG = 1 << 20
"""Bytes of a config.toml that are read: one with every option has about 1 kB."""

DIGEST_LENGTH = 20
"""Hexadecimal digits that name a run's socket: short enough for any path, and 80 bits never meet by chance."""

MOST_NAMED = 8
"""Runs that an error names where the one that was meant is not there."""

HOLDER_PAUSE = 0.02
"""Seconds between two looks at a run's lock, where one waits until its process has ended or begun to train."""


class RunError(UserError):
    """A run does not exist, its name is taken, or it cannot do what was requested."""


class ReadOnlyRun(RunError):
    """The run is not this user's to change."""


class NewerRun(RunError):
    """A newer tui-vae has made the run, with what this one does not know."""


def newer_error(directory: RunDirectory, what: str, version: str = "") -> NewerRun:
    """`what`: the part of a sentence about the run that says what is not known. `version`: that made it, if known."""
    of = f"tui-vae {version}" if version else "a newer tui-vae"
    message = f"run {directory.name!r} is of {of}: {what} that tui-vae {__version__} does not know"
    return NewerRun(message, "upgrade: pip install --upgrade tui-vae")


def finished_error(directory: RunDirectory) -> RunError:
    """A finished run was to be continued without a number of epochs."""
    more = advice.of_run("resume", directory.path, options=("--epochs", "10"))
    return RunError(f"run {directory.name!r} is finished", f"say how many more epochs, such as: {more}")


def deleted_error(directory: RunDirectory) -> RunError:
    """The run's directory is gone, or was never there."""
    others = advice.command("ls", directory.path.parent)
    return RunError(f"run {directory.name!r} has been deleted", f"see those that are there: {others}")


def read_only_error(directory: RunDirectory, why: str) -> ReadOnlyRun:
    """`why`: the end of a sentence about the run."""
    lock = directory.files.lock  # which only its owner may read
    rest = ", all but its lock," if lock.exists() and not os.access(lock, os.R_OK) else ""
    hint = f"copy it{rest} and change the copy: cp -r {advice.quoted(str(directory.path))} DIRECTORY"
    return ReadOnlyRun(f"run {directory.name!r} {why}: you may look at it, not change it", hint)


def already_living(directory: RunDirectory, holder: Holder | None = None) -> RunError:
    """Another process holds the run's lock, perhaps on another host that shares the disk."""
    holder = holder or directory.holder()
    where = f" on host {holder.elsewhere!r}" if holder and holder.elsewhere else ""
    hint = "go on there, or stop it there first" if where else ""
    return RunError(f"run {directory.name!r} already has a living process{where}", hint)


def train_another(directory: RunDirectory) -> str:
    """The hint for a run that cannot be continued."""
    return f"train a new one like it: {advice.another_like(directory.path)}"


def is_resumable(directory: RunDirectory) -> bool:
    """Whether training would go on, or begin, and not start over and overwrite the weights that are there."""
    return directory.files.last.exists() or not directory.files.best.exists()


def check_resumable(directory: RunDirectory) -> None:
    """
    Raises:
        RunError: it is not resumable.
    """
    if not is_resumable(directory):
        missing = "has only its best weights, not the optimizer's state that resuming needs"
        raise RunError(f"run {directory.name!r} {missing}", train_another(directory))


class ServingFiles(NamedTuple):
    """Where the process that answers requests about a run has its lock, its output and its socket."""

    lock: Path
    log: Path
    socket: Path


class Living(NamedTuple):
    """The living processes that matter to this user.

    holder: the one that holds the run's own lock, which trains or serves it; of another user it says hardly more than
    that it lives. server: the one that answers this user about the model; where `read_only`, it is a process apart that
    reads the newest checkpoint and writes nothing into the directory. not_own: why this user cannot change the run, as
    the end of a sentence; empty where they can.
    """

    holder: Holder | None
    server: Holder | None
    read_only: bool = False
    not_own: str = ""


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run under `path`, whose last part is the run's name."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name, which is the directory's."""
        return self.path.name

    @property
    def files(self) -> RunDirectory:
        """The directory by which its files are opened; `path` is for words. They differ where it is held open."""
        return self

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def last(self) -> Path:
        return self.path / LAST

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def previews(self) -> Path:
        return self.path / "previews"

    @property
    def kept(self) -> Path:
        return self.path / "kept"

    def checkpoint(self, which: str) -> Path:
        """The checkpoint called `last` or `best`, or of the epoch that is given by its number."""
        return state_file(self.kept, int(which)) if which.isdecimal() else self.path / f"{which}.safetensors"

    @property
    def log(self) -> Path:
        return self.path / "trainer.log"

    @property
    def note(self) -> Path:
        return self.path / "note.txt"

    @property
    def tags(self) -> Path:
        return self.path / "tags.toml"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def socket(self) -> Path:
        """Where this run's process listens: in a private directory, at a short path however deep the run is.

        Named after the directory itself: another one that gets its path has another socket.

        Raises:
            FileNotFoundError: the directory is not there.
        """
        return self._in_runtime_directory("").with_suffix(".sock")

    def _in_runtime_directory(self, purpose: str) -> Path:
        import hashlib  # a command that reads finished runs alone needs none of OpenSSL

        device, inode = self.identity
        digest = hashlib.sha256(f"{device}:{inode}{purpose}".encode()).hexdigest()
        return runtime_directory() / digest[:DIGEST_LENGTH]

    def serving_files(self, read_only: bool) -> ServingFiles:
        """`read_only`: the process of a user who may only read the run has them in their own runtime directory.

        Raises:
            UserError: there is none. OSError: the run is not there, or cannot be looked at.
        """
        if not read_only:
            return ServingFiles(self.files.lock, self.log, self.socket)
        stem = self._in_runtime_directory(":look")
        return ServingFiles(*(stem.with_suffix(suffix) for suffix in (".lock", ".log", ".sock")))

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the directory: what makes it this one, whatever its name.

        Raises:
            OSError: it is not there, or cannot be looked at.
        """
        facts = self.path.stat()
        return facts.st_dev, facts.st_ino

    def changed(self) -> float | None:
        """When the event log was last written, or the run was made; None where the run is no longer there."""
        for path in (self.files.events, self.files.path):
            with suppress(OSError):
                return path.lstat().st_mtime
        return None

    def why_unreadable(self) -> str:
        """Which file keeps the run from being looked at, and why; empty where nothing does."""
        try:
            os.close(open_plain(self.files.config))
            with suppress(FileNotFoundError):  # there is none before a run's process has begun
                os.close(open_plain(self.files.events))
        except OSError as error:
            return reason(error)
        return ""

    def check_readable(self) -> None:
        """
        Raises:
            RunError: a file of the run cannot be read.
        """
        if why := self.why_unreadable():
            raise RunError(f"run {self.name!r} cannot be read: {why}", f"look at the files in {self.path}")

    def read_config(self) -> RunConfig:
        """What the run was asked to do.

        Raises:
            UsageError: config.toml is missing or damaged, or no plain file.
            NewerRun: it has an option that is not known.
        """
        try:
            data = read_whole(self.files.config, MOST_CONFIG)
        except OSError as error:
            raise UsageError(f"cannot read {self.config}: {error.strerror}") from None
        try:
            return recorded_config(parse_config(data, self.config))
        except UnknownOption as error:
            raise newer_error(self, f"its config.toml has an option {error.name!r}") from None

    def output(self, size: int) -> str:
        """The end of what the run's processes have printed, `size` bytes at most; empty where it cannot be read."""
        return read_output(self.log, size)

    def holder(self) -> Holder | None:
        """The living process of this run, if any."""
        return read_holder(self.files.lock)

    def living(self) -> Living:
        """The living processes: the only answer to which one to ask about the model."""
        holder = self.holder()
        elsewhere = holder is not None and bool(holder.elsewhere)
        if holder is not None and holder.pid and not elsewhere:
            return Living(holder, holder)
        not_own = self.why_read_only()
        if not (not_own or elsewhere):
            return Living(holder, holder)
        server = None
        with suppress(UserError, OSError):  # without a place for its lock there is no such process
            server = read_holder(self.serving_files(read_only=True).lock)
        return Living(holder, server, True, not_own)

    def why_read_only(self) -> str:
        """Why this user may look at the run and not change it, such as `belongs to user anna`; empty where they may."""
        files = self.files
        return why_read_only(files.path, files.config, (files.lock, files.log, files.events))

    def check_own(self) -> None:
        """
        Raises:
            ReadOnlyRun: this user may not change the run.
        """
        if why := self.why_read_only():
            raise read_only_error(self, why)

    def process(self) -> int | None:
        """The number of the run's living process, if it is a trainer of this user on this host, which was checked."""
        holder = self.holder()
        if holder is None or holder.elsewhere or not is_trainer_of(self.files.lock, holder.pid):
            return None
        return holder.pid

    def is_training(self) -> bool:
        """Whether a process lives that trains this run (or is paused in it)."""
        holder = self.holder()
        return holder is not None and holder.mode == "train"


def read_output(log: Path, size: int) -> str:
    """The end of what a process has printed, `size` bytes at most; empty where it cannot be read."""
    return plain_lines(read_tail(log, size).decode(errors="replace"))


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """All runs, newest first (by the last change of the log), without those that are deleted meanwhile.

    A run whose config.toml cannot be read, or is no plain file, is among them: `why_unreadable` tells.

    Raises:
        RunError: the directory cannot be read.
    """
    try:
        names = os.listdir(runs_dir)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunError(f"cannot list the runs in {runs_dir}: {error.strerror}", "name another --runs-dir") from None
    runs = [RunDirectory(runs_dir / name) for name in names if re.fullmatch(RUN_NAME, name)]
    dated = [(when, run) for run in runs if _is_run(run) and (when := run.changed()) is not None]
    return [run for _, run in sorted(dated, key=itemgetter(0), reverse=True)]


def _is_run(directory: RunDirectory) -> bool:
    try:
        directory.config.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return directory.path.is_dir()  # it may not be entered
    return True


def find_run(runs_dir: Path, name: str | None = None) -> RunDirectory:
    """The run called `name`, or the newest that can be read.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    runs = list_runs(runs_dir)
    if not runs:
        raise RunError(f"there are no runs in {runs_dir}", f"start one with: {advice.command('train', runs_dir)}")
    if name is None:
        found = next((run for run in runs if not run.why_unreadable()), runs[0])
        found.check_readable()
        return found
    for run in runs:
        if run.name == name:
            run.check_readable()
            return run
    known = ", ".join(run.name for run in runs[:MOST_NAMED]) + (", …" if len(runs) > MOST_NAMED else "")
    like = nearest(name, [run.name for run in runs])
    raise RunError(f"there is no run {name!r} in {runs_dir}{like}", f"runs are: {known}")
