"""Advice inside the app names keys where messages, which are for shells as well, name commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from tui_vae.runs.advice import COMMAND

KEYS = {
    "attach": "4 opens Runs", "checkpoint": "s", "ls": "4 opens Runs", "pause": "space", "resume": "r", "stop": "x",
    "set": "- lowers the learning rate", "train": "n opens the form of a new run",
}  # fmt: skip
"""Command → the key that does it for the run on the screen. Other commands stay as they are."""

OF_SELECTED = {**KEYS, "resume": "R", "train": "R"}
"""The same where the words are about the run that is selected in Runs."""


def with_keys(text: str, keys: Mapping[str, str] = KEYS) -> str:
    """The text with keys in place of the commands that have one: `continue it with: r`."""
    words, end = "", 0
    for found in re.finditer(COMMAND, text):
        verb = shlex.split(found[0])[1]
        words += text[end : found.start()] + keys.get(verb, found[0])
        end = found.end()
    return (words + text[end:]).replace(" && ", ", then ")


def why_failed(why: str) -> str:
    """Why the run that is selected in Runs failed, and the key that helps; empty where it did not fail."""
    told = with_keys(why, OF_SELECTED)
    resumes = told.endswith(f": {OF_SELECTED['resume']}")
    return f"failed: {told}" + ("" if resumes else f" · {OF_SELECTED['resume']} goes on with it") if told else ""
