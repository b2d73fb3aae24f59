"""Each parser of what may come from a stranger, with some inputs; `python -m tests.fuzz` gives them very many."""

import random

import pytest

from tests.fuzz.run import TARGETS, run_target

INPUTS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_does_more_than_be_refused(name: str) -> None:
    seed = random.randrange(2**32)
    assert run_target(TARGETS[name], INPUTS, seed) > 0, f"seed {seed}"
