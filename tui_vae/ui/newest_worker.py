"""Work in the background of which only the newest counts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def run_newest(node: DOMNode, work: Callable[[], Coroutine[Any, Any, None]], group: str) -> Worker[None]:
    """Have a worker do this, and cancel the one of the same group that does it already.

    Its coroutine is made when it begins: that of a worker which is cancelled before that would never be awaited.
    """
    function: Any = work  # Textual's annotation of what a worker may be fits a coroutine's function in two ways
    worker: Worker[None] = node.run_worker(function, group=group, exclusive=True)
    return worker
