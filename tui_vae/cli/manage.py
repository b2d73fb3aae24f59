"""`tui-vae rm`, `rename`, `note`, `clone` and `log`: runs as things to keep, name and read, from the shell."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
import time

from tui_vae.cli.train_reporters import control_line, epoch_line, introduction, message_line
from tui_vae.errors import UserError
from tui_vae.runs import advice, manage
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory, find_run
from tui_vae.runs.history import History
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.summary import summarize
from tui_vae.runs.tags import parse_tags, read_tags, write_tags

FOLLOW_SECONDS = 0.2
"""Seconds between two looks at a log that is followed."""

LEAST_WORDS, NARROW_INDENT = 24, 2
"""Columns that the log's words have beside the time, at least; where there are fewer, lines go on behind this many."""


def rm(options: argparse.Namespace) -> int:
    """Delete runs with everything in them. On a terminal it asks first.

    Raises:
        UserError: a run is not there, is being trained, or is another user's; or nobody can be asked.
    """
    found = [find_run(runs_directory(options.runs_dir), name) for name in options.names]
    if not options.force and not _agreed(found):
        print("nothing was deleted")
        return 1
    for directory in found:
        manage.delete_run(directory)
        print(f"{directory.name}: deleted")
    return 0


def _agreed(directories: list[RunDirectory]) -> bool:
    """Whether a person wants these runs to be deleted.

    Raises:
        UserError: nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask on whether to delete", "say it with --force")
    for directory in directories:
        epochs = summarize(directory).epochs
        print(f"{directory.name}: {epochs} {'epoch' if epochs == 1 else 'epochs'}, weights and previews")
    print("They are gone for good. Delete? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def rename(options: argparse.Namespace) -> int:
    """Give a run another name.

    Raises:
        UserError: there is no such run, it is being trained or another user's, or the name is none or is taken.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    fresh = manage.rename_run(directory, options.to)
    print(f"{directory.name}: now called {fresh.name}")
    return 0


def note(options: argparse.Namespace) -> int:
    """Print a run's note, or keep another one; an empty one removes it.

    Raises:
        UserError: there is no such run, or it is another user's, or its disk is full.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    if options.text is None:
        print(manage.read_note(directory) or f"{directory.name} has no note; write one with: "
              f"{advice.of_run('note', directory.path, 'TEXT')}")  # fmt: skip
        return 0
    try:
        manage.write_note(directory, options.text)
    except OSError as error:
        raise UserError(f"the note of {directory.name} cannot be written: {error.strerror}", "make room") from None
    print(f"{directory.name}: note {'kept' if options.text.strip() else 'removed'}")
    return 0


def tag(options: argparse.Namespace) -> int:
    """Print a run's tags and group, or keep others with it.

    Raises:
        UserError: there is no such run, it is another user's, a word is no tag, or its disk is full.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    if not options.tags:
        print(read_tags(directory).text() or f"{directory.name} has no tags; give it some with: "
              f"{advice.of_run('tag', directory.path, 'WORD', '@GROUP')}")  # fmt: skip
        return 0
    kept = parse_tags(" ".join(options.tags))
    try:
        write_tags(directory, kept)
    except OSError as error:
        raise UserError(f"the tags of {directory.name} cannot be written: {error.strerror}", "make room") from None
    print(f"{directory.name}: {kept.text() or 'no tags'}")
    return 0


def clone(options: argparse.Namespace) -> int:
    """Copy a run with everything in it, under another name, to try something from where it stands.

    Raises:
        UserError: there is no such run, it is being trained, the name is none or is taken, or the disk is full.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    fresh = manage.clone_run(directory, options.to)
    print(f"{directory.name}: copied to {fresh.name}; train it on with: {advice.of_run('resume', fresh.path)}")
    return 0


def log(options: argparse.Namespace) -> int:
    """Print what has happened to a run: starts, epochs, changes, checkpoints, warnings. `-f`: and what happens next.

    Raises:
        UserError: there is no such run.
    """
    directory = find_run(runs_directory(options.runs_dir), options.name)
    tail, history = ev.LogTail(directory.events), History()
    while True:
        found = tail.read()
        for event in found:
            history.apply(event)
            if isinstance(event, ev.StepEvent | ev.GaugeEvent | ev.PreviewEvent):
                continue
            if options.json:
                print(ev.encode_line(event).decode(), end="")
            else:
                print(_shown(time.strftime("%Y-%m-%d %H:%M:%S  ", time.localtime(event.t)), _words(event, history)))
        if found or not tail.at_end():
            continue
        if not options.follow or not directory.is_training():
            return 0
        sys.stdout.flush()
        time.sleep(FOLLOW_SECONDS)


def _shown(clock: str, words: str) -> str:
    """A line of the log. On a terminal the rest of a long one stands below its words, not below the time."""
    if not sys.stdout.isatty():
        return clock + words
    width = shutil.get_terminal_size().columns
    indent = len(clock) if width - len(clock) >= LEAST_WORDS else NARROW_INDENT
    return textwrap.fill(
        clock + words, width, subsequent_indent=" " * indent,
        break_long_words=False, break_on_hyphens=False,  # of paths and commands, which people copy
    )  # fmt: skip


def _words(event: ev.AnyEvent, history: History) -> str:
    match event:
        case ev.RunEvent():
            return introduction(event)
        case ev.EpochEvent():
            return epoch_line(event, history.run.epochs if history.run else event.epoch)
        case ev.StateEvent():
            return event.state + (f": {event.reason}" if event.reason else "")
        case ev.CheckpointEvent():
            return f"checkpoint at step {event.step:,}: {event.file}" + (", the best so far" if event.best else "")
        case ev.ControlEvent():
            return control_line(event)
        case ev.WarningEvent() | ev.ErrorEvent():
            return message_line(event)
    return type(event).__name__
