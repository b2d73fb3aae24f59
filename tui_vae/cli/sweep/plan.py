"""Which runs a sweep has: one for every combination of the given values, each under a name that is found again."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui_vae import config
from tui_vae.cli.same_run import check_same
from tui_vae.config import RunConfig, option_name, text_of
from tui_vae.config.own_code import with_model_folder
from tui_vae.errors import UsageError
from tui_vae.runs.directory import RunDirectory

MOST = 1000
"""Combinations in one sweep: a slip of the keyboard must not start more."""

CHECKSUM_LENGTH = 8
"""Hexadecimal digits of the checksum in a run's name: no two of `MOST` names get the same by chance."""


def sweep_name(base: Mapping[str, Any], given: Mapping[str, Sequence[Any]]) -> str:
    """What the names of a sweep's runs begin with: `--name`, else `sweep`.

    Raises:
        UsageError: several names are given.
    """
    if len(given.get("name", ())) > 1:
        raise UsageError("a sweep has one name, with which those of its runs begin", "give --name once")
    return str(next(iter(given.get("name", ())), base.get("name") or "sweep"))


def varied_options(given: Mapping[str, Sequence[Any]]) -> list[str]:
    """The options with several values, the one that varies slowest first."""
    return [name for name, values in given.items() if len(values) > 1]


def plan(base: Mapping[str, Any], given: Mapping[str, Sequence[Any]]) -> list[RunConfig]:
    """A run's description for each combination of the values given, the first option varying slowest.

    Each is named from `--name` (or `sweep`) and the values in which it differs, so that the same command finds its runs
    again, and their common beginning finds them together.

    Raises:
        UsageError: a value out of place, several names, or too many combinations.
    """
    prefix = sweep_name(base, given)
    varied = {name: given[name] for name in varied_options(given)}
    if not varied:
        raise UsageError("there is nothing to sweep: no option has several values",
                         "give one some, such as --latent-dim 2,8,32")  # fmt: skip
    fixed = {**base, **{name: values[0] for name, values in given.items() if len(values) == 1}}
    count = 1
    for values in varied.values():
        count *= len(values)
    if count > MOST:
        raise UsageError(f"these are {count:,} combinations, a sweep has at most {MOST:,}", "vary fewer values at once")
    found = []
    for values in itertools.product(*varied.values()):
        settings = dict(zip(varied, values, strict=True))
        each = config.make_config({**fixed, **settings, "name": run_name(prefix, settings)})
        found.append(with_model_folder(each))  # as it is recorded, so that the same command finds its runs
    if len({each.name for each in found}) < len(found):
        raise UsageError("two combinations would have the same name", "vary other values, or choose a shorter --name")
    return found


def run_name(prefix: str, settings: Mapping[str, Any]) -> str:
    """`sweep-latent-dim-2-beta-4`. Where that is no name of a run, or too long, the end of it is a checksum."""
    words = [f"{option_name(name)}-{text_of(name, value)}" for name, value in settings.items()]
    plain = "-".join([prefix, *(word.replace(",", "x") for word in words)])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", plain)
    if name == plain and len(name) <= config.MAX_NAME:
        return name
    ending = f"-{hashlib.sha256(plain.encode()).hexdigest()[:CHECKSUM_LENGTH]}"
    return name[: config.MAX_NAME - len(ending)] + ending


def check_existing(runs_dir: Path, combinations: Sequence[RunConfig], chosen: set[str]) -> None:
    """Check that the runs which a sweep would continue are its own. Device and threads count only where they are given.

    Raises:
        UsageError: a run has one of the names and has other options.
    """
    for wanted in combinations:
        directory = RunDirectory(runs_dir / str(wanted.name))
        if directory.config.is_file():
            check_same(directory, wanted, chosen, "choose another --name for this sweep")
