"""Whether a run's data can be used, before anything of the run is made or goes on: `python -m tui_vae.core.data.check`.

As a module it reads `{"config", "run", "fingerprint"}` as JSON from its standard input, the last two of a run that goes
on. It prints what is under way, as lines of `{"progress"}`; and what is wrong, as `{"message", "hint"}`, and then ends
with 1.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tui_vae.config import RunConfig, recorded_config
from tui_vae.config.data_options import is_named, is_own
from tui_vae.core.data.download import Progress
from tui_vae.core.data.published import DatasetError
from tui_vae.errors import UserError

if TYPE_CHECKING:
    from tui_vae.core.data.datasets import Dataset

SHOWN = 8
"""Digits of a fingerprint that a message shows."""


def same_again(found: Dataset) -> str:
    """What to do where a run's data are others than these."""
    which = f" {shlex.quote(str(found.source.path))}" if found.source.kind == "path" else ""
    return f"give it the same data again; see what is found: tui-vae data{which}"


def check_data(config: RunConfig, progress: Progress | None = None, run: str = "", fingerprint: str = "") -> None:
    """Read the data of a run, unless they are FashionMNIST in its usual places.

    What is decoded is in the cache afterwards. `run`, `fingerprint`: of a run that goes on, and of its data.

    Raises:
        DatasetError: they cannot be used, or are not those of the run; the message says why.
    """
    if not is_own(config.dataset, config.data_dir):
        return
    from tui_vae.core.data.datasets import load

    with of_run(config, run):
        found = load(config.dataset, config.data_dir, config.train_limit, config.test_limit, progress,
                     config.image_size, config.channels, config.test_share)  # fmt: skip
    check_same(found, run, fingerprint)


@contextmanager
def of_run(config: RunConfig, run: str) -> Iterator[None]:
    """Meanwhile, errors of a file or folder say what can be done for a run that is there already; `run` is its name."""
    try:
        yield
    except DatasetError as error:
        if not run or is_named(config.dataset):
            raise
        hint = f"run {run!r} was trained on what was there: put it, or a link to it, there again"
        raise DatasetError(error.message, hint) from None


def check_same(found: Dataset, run: str, fingerprint: str) -> None:
    """
    Raises:
        DatasetError: the data are not those with this fingerprint, which is empty for older runs.
    """
    if fingerprint and fingerprint != found.fingerprint:
        which = f"fingerprint {fingerprint[:SHOWN]} then, {found.fingerprint[:SHOWN]} now"
        raise DatasetError(
            f"the data of run {run!r} have changed since it was trained: {found.source.path} ({which})",
            same_again(found),
        )


def _report(text: str) -> None:
    print(json.dumps({"progress": text}), flush=True)


def main() -> int:
    try:
        asked = json.load(sys.stdin)
        check_data(recorded_config(asked["config"]), _report, asked["run"], asked["fingerprint"])
    except UserError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
