"""Runs targets: a few inputs in the suite, very many by `python -m tests.fuzz`."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings

from tests.fuzz.data_files import DATA_FILES
from tests.fuzz.files import FILES
from tests.fuzz.guard import memory_limit, time_limit
from tests.fuzz.messages import MESSAGES
from tests.fuzz.target import Check, Target

TARGETS = {target.name: target for target in (*FILES, *DATA_FILES, *MESSAGES)}

MOST_AT_ONCE = 2000
"""Inputs of one run of Hypothesis, which remembers all of them: its memory and time grow with their number."""


def run_target(target: Target, inputs: int, seed: int) -> int:
    """Give so many inputs to a target, at least, and return how many it got. The same seed gives the same inputs.

    Raises:
        AssertionError, Exception, Hung: one of them was not refused as it should be; Hypothesis prints the smallest.
    """
    given = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, target.open(Path(folder)) as check, memory_limit():
        while given < inputs:
            given += _run_some(target, check, min(MOST_AT_ONCE, inputs - given), seed + given)
    return given


def _run_some(target: Target, check: Check, inputs: int, seed: int) -> int:
    given = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=inputs, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), print_blob=False,
    )  # fmt: skip
    @hypothesis.given(target.inputs)
    def try_each(value: Any) -> None:
        nonlocal given
        given += 1
        with time_limit(), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # stderr is the app's screen
            check(value)

    try_each()
    return given
