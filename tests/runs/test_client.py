"""Requests to a run's process."""

import shutil
import threading
import time
from functools import partial
from pathlib import Path
from unittest import mock

import pytest

from tests.support.processes import wait_until
from tui_vae.config import make_config
from tui_vae.runs import client, protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.lock import RunLock
from tui_vae.trainer.server import Inbox, Server


def answer_one(inbox: Inbox, reply: protocol.AnyReply) -> None:
    ticket = inbox.wait(10)
    if ticket is not None:
        ticket.answer(reply)


def test_questions_share_a_connection_until_their_process_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Against the trainer's own server: one connection for many questions, and a new one for the next process."""
    connect = mock.Mock(wraps=client._connect)
    monkeypatch.setattr(client, "_connect", connect)
    directory, _ = create_run(tmp_path, make_config({}))
    caller = client.Caller(directory)
    for process in (1, 2):
        lock, inbox = RunLock(directory, "serve"), Inbox()
        server = Server(lambda: directory.socket, lock, inbox)
        server.start()
        for step in range(3):
            answer = threading.Thread(target=answer_one, args=(inbox, protocol.Images(epoch=0, step=step, images=b"")))
            answer.start()
            assert caller.ask(protocol.Decode(z=b"1234"), protocol.Images).step == step
            answer.join()
        assert connect.call_count == process
        server.close()
        lock.release()
    assert not caplog.records  # a process that ends under an open connection has nothing to complain of
    with pytest.raises(client.NoProcess):
        caller.ask(protocol.Describe(), protocol.Description)


def test_a_process_is_reached_after_its_runtime_directory_was_swept_away(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last logout takes it; the process makes its socket anew elsewhere, and a request finds it there."""
    runtime, elsewhere = short_path / "r", short_path / "t"
    runtime.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    directory, _ = create_run(tmp_path / "runs", make_config({}))
    lock, inbox = RunLock(directory, "train"), Inbox()
    server = Server(lambda: directory.socket, lock, inbox)
    server.start()

    def listens_in(folder: Path) -> bool:
        holder = directory.holder()
        return holder is not None and folder in Path(holder.socket).parents

    for place in (elsewhere, runtime):  # a login makes it again
        shutil.rmtree(runtime) if runtime.exists() else runtime.mkdir()
        answer = threading.Thread(target=answer_one, args=(inbox, protocol.Done(epoch=1, step=1, lr=1, beta=1)))
        answer.start()
        began = time.monotonic()
        client.request(directory, protocol.Set(lr=1e-3), protocol.Done)
        assert time.monotonic() - began < client.REACH_LIMIT
        answer.join()
        wait_until(partial(listens_in, place))
    server.close()
    lock.release()
    shutil.rmtree(elsewhere)
