"""`tui-vae sweep`: train every combination of the given values side by side, then put them all beside each other."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence

from tui_vae import config
from tui_vae.cli.cursor import cursor_comes_back
from tui_vae.cli.sweep.detached import SweepLock, attached, detach
from tui_vae.cli.sweep.plan import check_existing, plan, sweep_name, varied_options
from tui_vae.cli.sweep.report import LineReport, Report
from tui_vae.cli.sweep.results import print_results, results_json
from tui_vae.cli.sweep.run import SweepRun
from tui_vae.cli.sweep.runner import Runner
from tui_vae.cli.sweep.site import Room, Site
from tui_vae.cli.sweep.where import check_where, on, site_for
from tui_vae.cli.train import catch_stop_signals, check_first
from tui_vae.cli.waiting import waiting
from tui_vae.config.user_file import read_train_defaults
from tui_vae.errors import UsageError, UserError
from tui_vae.interrupts import INTERRUPTED
from tui_vae.runs import advice
from tui_vae.runs.comparison import candidate
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import check_named

MOST_NAMED = 4
"""Runs that the last sentence names of those that are not finished; the lines and the table name all."""


def sweep(options: argparse.Namespace) -> int:
    """Train all combinations that are not finished, then compare them all.

    Raises:
        UserError: some are not finished in the end; the message says which and why. UsageError: wrong usage.
    """
    values = {name.removeprefix("values_"): each for name, each in vars(options).items() if name.startswith("values_")}
    given = {name: list(dict.fromkeys(itertools.chain(*each))) for name, each in values.items()}
    from_file = config.read_config(options.config) if options.config else {}
    base = {**read_train_defaults(), **from_file}
    check_where(options)
    combinations = plan(base, given)
    for each in {(each.model, each.model_dir, each.on_end): each for each in combinations}.values():
        check_named(options.config, each, from_file.keys() - given.keys())
    runs_dir = runs_directory(options.runs_dir)
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UsageError(f"{runs_dir} is no directory", "name another --runs-dir")
    with waiting(f"looking at the runs, the data and the devices for {len(combinations)} runs") as say:
        check_existing(
            runs_dir, combinations, {*(name for name, each in base.items() if each not in (None, "auto")), *given}
        )
        for each in {data_of(each): each for each in combinations}.values():
            say(f"reading the data {each.dataset}")
            check_first(each)
    name, varied = sweep_name(base, given), varied_options(given)
    runs = [SweepRun(number, each, RunDirectory(runs_dir / str(each.name)), name)
            for number, each in enumerate(combinations, start=1)]  # fmt: skip
    if on(options) == "slurm":
        from tui_vae.cli.sweep.slurm import submit_all

        if not submit_all(runs, runs_dir, name, options):
            _print(runs, name, varied, options.json)
        return 0
    if options.detach:
        if options.json:
            raise UsageError("with --detach nobody waits for what --json prints",
                             "give the same command with --json, and without --detach, when it has ended")  # fmt: skip
        detach(runs_dir, name, options.words, len(combinations))
        return 0
    lock = SweepLock(runs_dir, name)
    lock.take()
    try:
        with catch_stop_signals() as asked, cursor_comes_back(sys.stdout), cursor_comes_back(sys.stderr):
            site = site_for(options, combinations, runs_dir, name, asked)
            has_ended = _train(runs, site, name, varied, options.json, asked)
    finally:
        lock.close()
    again = advice.again(attached(options.words))
    if not has_ended:
        print(f"stopped; go on with: {again}", file=sys.stderr if options.json else sys.stdout)
        return INTERRUPTED
    _print(runs, name, varied, options.json)
    _check_finished(runs, again)
    return 0


def data_of(wanted: config.RunConfig) -> tuple[object, ...]:
    """What a run's data depend on."""
    return tuple(getattr(wanted, name) for name, option in config.options().items() if option.group == "data")


def _train(
    runs: Sequence[SweepRun], site: Site, name: str, varied: Sequence[str], as_json: bool, asked: Sequence[int]
) -> bool:
    report = _report(runs, site.room, name, varied, as_json)
    ended = False
    try:
        ended = Runner(runs, site, report).train_all(asked)
    finally:
        report.close(keep=not ended)
        site.close()
    return ended


def _report(runs: Sequence[SweepRun], room: Room, name: str, varied: Sequence[str], as_json: bool) -> Report:
    stream = sys.stderr if as_json else sys.stdout
    if stream.isatty():
        from tui_vae.cli.sweep.table import TableReport

        table = TableReport(runs, room, name, varied, stream)
        if table.is_possible:
            return table
    return LineReport(len(runs), stream)


def _print(runs: Sequence[SweepRun], name: str, varied: Sequence[str], as_json: bool) -> None:
    found = [candidate(run.directory) for run in runs if run.directory.config.is_file()]
    if as_json:
        print(results_json(found, varied))
    else:
        print_results(name, found, varied)


def _check_finished(runs: Sequence[SweepRun], again: str) -> None:
    """
    Raises:
        UserError: some runs are not finished.
    """
    failed = [run for run in runs if run.error is not None]
    if not failed:
        return
    reasons = [f"{run.name}: {run.error.message}" for run in failed[:MOST_NAMED] if run.error]
    more = f", and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    raise UserError(
        f"{len(failed)} of {len(runs)} runs did not finish ({'; '.join(reasons)}{more})", f"try them again: {again}"
    )
