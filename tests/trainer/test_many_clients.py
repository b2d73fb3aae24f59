"""A hundred clients at once: each gets its own answer, nobody waits for ever, and no descriptor stays open."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.processes import Trained, kill_trainer, wait_until
from tui_vae.config import make_config
from tui_vae.runs import protocol
from tui_vae.runs.client import Caller, request
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.launch import start_serving
from tui_vae.runs.lock import RunLock
from tui_vae.trainer.server import Inbox, Server

CLIENTS = 100


def descriptors(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def ask_all(directory: RunDirectory, ask: Callable[[Caller, int], bool]) -> list[bool]:
    """Every client asks three times over a connection of its own, all at the same moment."""
    together = threading.Barrier(CLIENTS)

    def client(number: int) -> bool:
        caller = Caller(directory)
        try:
            together.wait(60)
            return all(ask(caller, number) for _ in range(3))
        finally:
            caller.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(client, range(CLIENTS)))


def test_a_hundred_clients_get_their_own_answers_while_one_never_stops_asking(tmp_path: Path) -> None:
    directory, _ = create_run(tmp_path, make_config({}))
    before = descriptors("self")
    lock, inbox, ended = RunLock(directory, "serve"), Inbox(), threading.Event()
    server = Server(lambda: directory.socket, lock, inbox)
    server.start()

    def answer() -> None:
        while not ended.is_set():
            ticket = inbox.wait(0.05)
            if ticket is not None and isinstance(ticket.request, protocol.Sample):
                ticket.answer(protocol.Samples(epoch=0, step=ticket.request.seed, source="prior", images=b"0"))

    def greedy() -> None:
        caller = Caller(directory)
        while not ended.is_set():
            caller.ask(protocol.Sample(count=1, seed=CLIENTS), protocol.Samples)
        caller.close()

    threads = [threading.Thread(target=each, daemon=True) for each in (answer, greedy)]
    for thread in threads[:1]:
        thread.start()
    threads[1].start()
    mine = ask_all(directory, lambda caller, number: caller.ask(
        protocol.Sample(count=1, seed=number), protocol.Samples, 60.0).step == number)  # fmt: skip
    ended.set()
    for thread in reversed(threads):
        thread.join(10)
    server.close()
    lock.release()
    assert all(mine)
    wait_until(lambda: descriptors("self") <= before + 3)  # the event loop's own, until it is collected


@pytest.mark.long
def test_a_hundred_clients_of_a_real_process_get_the_same_images_as_one(trained: Trained) -> None:
    directory = trained.directory
    start_serving(directory)
    try:
        one_by_one = [
            request(directory, protocol.Reconstruct(indices=[number]), protocol.Reconstructions, 120)
            for number in range(CLIENTS)
        ]
        holder = directory.holder()
        assert holder is not None
        before = descriptors(holder.pid)
        same = ask_all(directory, lambda caller, number: caller.ask(
            protocol.Reconstruct(indices=[number]), protocol.Reconstructions, 120.0) == one_by_one[number])  # fmt: skip
        assert all(same)
        wait_until(lambda: descriptors(holder.pid) <= before)
    finally:
        kill_trainer(directory)
