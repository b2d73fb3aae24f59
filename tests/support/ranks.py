"""Ranks that are threads of the test's own process, instead of processes on devices of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor


class ThreadRank:
    """One of several ranks; `meet` is where all of them wait for each other."""

    def __init__(self, rank: int, world: int, meet: threading.Barrier, board: list[Tensor | None]) -> None:
        self.rank, self.world = rank, world
        self._meet, self._board = meet, board

    def add_up(self, values: Tensor) -> None:
        self._board[self.rank] = values.clone()
        self._meet.wait()
        total = torch.stack([each for each in self._board if each is not None]).sum(dim=0)
        self._meet.wait()
        values.copy_(total)


def thread_ranks(world: int) -> list[ThreadRank]:
    meet, board = threading.Barrier(world, timeout=60), [None] * world
    return [ThreadRank(rank, world, meet, board) for rank in range(world)]  # type: ignore[arg-type]


def all_at_once(ranks: list[ThreadRank], work: Callable[[ThreadRank], None]) -> None:
    """Have every rank do its work; the first error of one is this function's."""
    errors: list[BaseException] = []

    def run(rank: ThreadRank) -> None:
        try:
            work(rank)
        except BaseException as error:
            errors.append(error)
            rank._meet.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((each for each in errors if not isinstance(each, threading.BrokenBarrierError)), errors[0])
