"""A parser under test: its inputs, and what is done with each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Check = Callable[[Any], None]
"""Gives an input to the parser. An error that is not for users goes on to the caller, and fails the test."""


@dataclass(frozen=True)
class Target:
    """`open` gets an empty folder and prepares what all inputs share. `weight`: its share of a long run's inputs."""

    name: str
    inputs: st.SearchStrategy[Any]
    open: Callable[[Path], AbstractContextManager[Check]]
    weight: int = 1
