"""Where in `trainer.log` a process of a run begins to speak: all of them, one after the other, append to that file."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Literal

Mode = Literal["train", "serve"]

_BEGIN = re.compile(r"^==== \d{4}-\d\d-\d\d \d\d:\d\d:\d\d (train|serve) ====$", re.MULTILINE)


def mark_start(log: int, mode: Mode) -> None:
    """Write a line that says which process begins, unless it is the first; `log`: the file, open for appending."""
    with suppress(OSError):  # its disk may be full, and the process has its own words for that
        if os.fstat(log).st_size:
            os.write(log, f"==== {time.strftime('%Y-%m-%d %H:%M:%S')} {mode} ====\n".encode())


def words_of_newest(text: str, mode: Mode) -> str:
    """What the newest process of this kind has printed, from the end of the file's text; the first one trains."""
    first, *others = _BEGIN.split(text)
    kinds, words = ["train", *others[::2]], [first, *others[1::2]]
    return next((each for each, kind in zip(words[::-1], kinds[::-1], strict=True) if kind == mode), "").strip()
