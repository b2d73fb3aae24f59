"""Looks after the processes of this machine: one that gives no sign of life is ended, and all begin again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from tui_vae.trainer.several.agent import AgentThread
from tui_vae.trainer.several.placement import limit_of
from tui_vae.trainer.several.switchboard import Seat, Switchboard

SILENCE_LIMIT, START_LIMIT, STEP_LIMIT = 60.0, 300.0, 900.0
"""Seconds without a beat, seconds until its first word, and seconds of one step, after which a process counts as hung.
`TUI_VAE_HANG_LIMIT` in the environment sets the first, and the others as 5 and 15 times that. A beat comes each
second; a start imports little, maybe over a slow network; a step takes as long only where a GPU's or a user's own code
never returns."""


class Vigil:
    """Watches what an agent has started and a switchboard has heard of; `tell` hears of each that is ended."""

    def __init__(self, board: Switchboard, agent: AgentThread, tell: Callable[[str], None]) -> None:
        self._board, self._agent, self._tell = board, agent, tell
        self._silence_limit = limit_of("TUI_VAE_HANG_LIMIT", SILENCE_LIMIT)
        self._start_limit, self._step_limit = (
            self._silence_limit * each / SILENCE_LIMIT for each in (START_LIMIT, STEP_LIMIT)
        )
        self._looked_at = time.monotonic()
        self._starting: dict[int, float] = {}
        """Seconds since its start for each process that has said nothing yet."""
        self._ended: set[int] = set()

    def look(self) -> None:
        """End what hangs. To be called about as often as processes beat."""
        # A machine that slept, or a trainer that was stopped with its processes, accuses nobody.
        passed, self._looked_at = min(time.monotonic() - self._looked_at, 1.0), time.monotonic()
        started = self._agent.processes  # before the seats: who has said hello since has one
        seats = self._board.seats()
        for seat in seats:
            seat.silent += passed
            if not seat.hung and (why := self._why_hung(seat)):
                seat.hung = True
                self._end(seat.hello.rank, seat.hello.pid, why)
        seated = {seat.hello.pid for seat in seats}
        silent = {pid: rank for rank, pid in started.items() if pid not in seated | self._ended}
        self._starting = {pid: self._starting.get(pid, 0.0) + passed for pid in silent}
        for pid, rank in silent.items():
            if self._starting[pid] > self._start_limit:
                self._end(rank, pid, f"has said nothing for {self._start_limit:g} s since its start")

    def _why_hung(self, seat: Seat) -> str:
        if seat.silent > self._silence_limit:
            return f"has not answered for {self._silence_limit:g} s"
        if seat.busy > self._step_limit:
            return f"has been at one step for {self._step_limit:g} s"
        return ""

    def _end(self, rank: int, pid: int, why: str) -> None:
        self._ended.add(pid)
        self._tell(f"rank {rank} (process {pid}) {why}, and is ended")
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
