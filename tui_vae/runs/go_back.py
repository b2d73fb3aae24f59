"""Going back to a kept epoch: the run goes on from there, and what it was until now becomes a run of its own."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import NamedTuple

from tui_vae.config import MAX_NAME
from tui_vae.runs import advice
from tui_vae.runs.checkpoint_file import CheckpointError, Progress, of_another_run, read_facts, verify_checkpoint
from tui_vae.runs.copy_run import copy_run
from tui_vae.runs.directory import RunDirectory, finished_error, train_another
from tui_vae.runs.files import link_or_copy, sync_directory
from tui_vae.runs.kept import best_file, kept_epochs, remove, state_file
from tui_vae.runs.log_search import mentions_run
from tui_vae.runs.manage import locked
from tui_vae.runs.previews import remove_previews_after
from tui_vae.runs.safe_files import cannot, why_no_folder
from tui_vae.runs.summary import summarize
from tui_vae.runs.trust import check_code

MOST_LISTED = 20
"""Kept epochs that a message lists, the newest ones."""


def not_kept(directory: RunDirectory, epoch: int) -> CheckpointError:
    """The error for an epoch of which no checkpoint is kept."""
    kept = [str(each) for each in kept_epochs(directory.files.kept)]
    listed = ", ".join(["…"] * (len(kept) > MOST_LISTED) + kept[-MOST_LISTED:])
    none = why_no_folder(directory.files.kept) or "a run keeps some where it is trained with --keep"
    hint = f"those of these epochs are: {listed}" if kept else none
    return CheckpointError(f"run {directory.name!r} keeps no checkpoint of epoch {epoch}", hint)


def newest_whole(directory: RunDirectory) -> int | None:
    """The newest kept epoch whose checkpoint is whole and of this run; None where there is none."""
    for epoch in reversed(kept_epochs(directory.files.kept)):
        with suppress(CheckpointError, OSError):
            _checked(directory, epoch)
            return epoch
    return None


def way_on(directory: RunDirectory) -> str:
    """The hint for a run whose last checkpoint cannot be resumed: the newest kept epoch, or else another run."""
    epoch = newest_whole(directory)
    if epoch is None:
        return train_another(directory)
    command = advice.of_run("resume", directory.path, options=("--from", str(epoch)))
    return f"go on from {_with_loss(directory, epoch)}: {command}"


class Offer(NamedTuple):
    """What a run can go on from whose last checkpoint is damaged: an epoch, in words `instead`; `wrong`: the damage."""

    wrong: str
    epoch: int
    instead: str


def offer_instead_of_last(directory: RunDirectory) -> Offer | None:
    """What to offer where the last checkpoint is damaged or missing; None where it is whole, or nothing is kept."""
    if not kept_epochs(directory.files.kept):
        return None
    try:
        verify_checkpoint(directory.files.last)
    except CheckpointError as error:
        epoch = newest_whole(directory)
        return None if epoch is None else Offer(error.message, epoch, _with_loss(directory, epoch))
    return None


def _with_loss(directory: RunDirectory, epoch: int) -> str:
    lost = summarize(directory).epochs - epoch
    after = f"the {lost} epochs after it are" if lost > 1 else "the epoch after it is" if lost == 1 else "no epoch is"
    return f"epoch {epoch}, the newest whole checkpoint ({after} lost)"


def go_back(directory: RunDirectory, epoch: int, more_epochs: int = 0) -> RunDirectory | None:
    """Make a kept epoch the run's last one, so that training goes on from its end.

    All that the run was until now becomes a run of its own, which is returned: what lies after the epoch leaves this
    run, but is not lost. It takes no room of its own until this run overwrites what both have. None where the run
    stands at that very step already.

    Raises:
        CheckpointError: that epoch is not kept, or damaged. RunError: the run is being trained, or finished with that
            epoch while `more_epochs` is 0. ReadOnlyRun: it is another user's. NotTrusted: its model's code may not run.
        UserError: the files cannot be written.
    """
    directory.check_own()
    progress = _checked(directory, epoch)
    if progress.finished and not more_epochs:
        raise finished_error(directory)
    check_code(directory, str(epoch))
    with locked(directory):
        try:
            former = None if _stands_at(directory, progress) else _set_aside(directory)
            _cut(directory, epoch)  # a going back that was killed on its way is completed
        except OSError as error:
            raise cannot(f"go back to epoch {epoch}", error, "nothing is lost: mend that, then try again") from None
    return former


def _checked(directory: RunDirectory, epoch: int) -> Progress:
    """
    Raises:
        CheckpointError: the epoch is not kept, or its checkpoint is damaged or of another run.
    """
    path = state_file(directory.files.kept, epoch)
    if epoch not in kept_epochs(directory.files.kept):
        raise not_kept(directory, epoch)
    progress = verify_checkpoint(path)
    if not mentions_run(directory.files.events, progress.run_id):
        raise of_another_run(path)
    if progress.evaluated != epoch:
        raise CheckpointError(f"{path} is not of epoch {epoch}", "put the run's own file back")
    return progress


def _stands_at(directory: RunDirectory, progress: Progress) -> bool:
    """Whether nothing of the run is later than this."""
    if any(epoch > progress.evaluated for epoch in kept_epochs(directory.files.kept)):
        return False
    try:
        facts = read_facts(directory.files.last)
    except CheckpointError:
        return False
    with suppress(CheckpointError):
        return facts.get("step") == progress.step and verify_checkpoint(directory.files.last) is not None
    return False


def _set_aside(directory: RunDirectory) -> RunDirectory:
    """A run of its own with all that this one holds.

    Raises:
        OSError: it cannot be written. UsageError: the run's config.toml is damaged.
    """
    epochs = summarize(directory).epochs
    for number in itertools.count(1):
        ending = f"-until-{epochs}" + (f"-{number}" if number > 1 else "")
        target = RunDirectory(directory.path.with_name(directory.name[: MAX_NAME - len(ending)] + ending))
        if not target.path.exists() and copy_run(directory, target):
            return target
    raise AssertionError  # there is always another number


def _cut(directory: RunDirectory, epoch: int) -> None:
    """Remove what is later than an epoch, and make its state the last one.

    A crash within leaves the run where it was, or at the epoch with a best checkpoint that is later, as after a process
    that was killed between writing the two.

    Raises:
        OSError: the directory cannot be written.
    """
    files = directory.files
    remove(files.kept, {each for each in kept_epochs(files.kept) if each > epoch})
    remove_previews_after(files.previews, epoch)
    link_or_copy(state_file(files.kept, epoch), files.last)
    best = best_file(files.kept, epoch)
    if best.exists():
        link_or_copy(best, files.best)
    else:
        files.best.unlink(missing_ok=True)
    sync_directory(files.path)
