"""A process of a run on several devices is lost or hangs: it is found, and what was asked of it is not forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.processes import wait_until
from tui_vae.cli import train
from tui_vae.runs import protocol
from tui_vae.runs.client import NoProcess
from tui_vae.trainer.server import Ticket
from tui_vae.trainer.several.lines import Asked, Hello, Line, Loaded, Welcome
from tui_vae.trainer.several.switchboard import Switchboard
from tui_vae.trainer.several.vigil import Vigil


def test_a_process_that_never_says_a_word_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUI_VAE_HANG_LIMIT", "0.02")
    silent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said: list[str] = []
    board, agent = SimpleNamespace(seats=lambda: []), SimpleNamespace(processes={1: silent.pid})
    vigil = Vigil(board, agent, said.append)  # type: ignore[arg-type]

    def is_ended() -> bool:
        vigil.look()
        return silent.poll() is not None

    wait_until(is_ended)
    vigil.look()
    assert said == [f"rank 1 (process {silent.pid}) has said nothing for 0.1 s since its start, and is ended"]
    assert silent.returncode == -9


def leader_of(board: Switchboard) -> Line:
    """The line of a new leader, which has loaded the run."""
    line = Line.to(board.path)
    line.send(Hello(rank=0, local=0, pid=0))
    assert line.receive_file() is not None
    assert isinstance(line.receive(), Welcome)
    line.send(Loaded(log=None, planned=1))
    return line


def asked_of(line: Line) -> protocol.AnyRequest:
    message = line.receive()
    assert isinstance(message, Asked)
    return protocol.decode_request(message.body)


def test_a_stop_that_a_lost_leader_has_not_obeyed_is_obeyed_by_the_next_one(tmp_path: Path) -> None:
    board = Switchboard(str(tmp_path), lambda hello: Welcome(leads=True))
    replies: list[Any] = []
    first = leader_of(board)
    for request in (protocol.Pause(), protocol.Stop()):
        board.ask(Ticket(request, replies.append))
        assert asked_of(first) == request
    first.close()
    wait_until(lambda: replies)
    assert asked_of(leader_of(board)) == protocol.Stop()
    (refused,) = replies
    assert "a process of this run was lost" in msgspec.to_builtins(refused)["message"]  # of the pause
    board.close()


def test_a_run_that_ends_before_it_answers_the_order_to_end_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system tells the trainer as well."""
    lives = iter([True, False, False])

    def ended(*_: object) -> None:
        raise NoProcess("the process of run 'job' ended before it answered", "see its log")

    monkeypatch.setattr(train, "request", ended)
    monkeypatch.setattr(train, "UNREACHED_LIMIT", -1.0)
    train._stop(SimpleNamespace(is_training=lambda: next(lives)))  # type: ignore[arg-type]
